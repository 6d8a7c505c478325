# An image of Chromatune, for the pods of kuberay_rayjob.yaml or for a single machine.
#
#   docker build -t REGISTRY/chromatune:0.1.0 .       # CPU
#   docker build -t REGISTRY/chromatune:0.1.0-cuda --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 .
#   docker run --rm -it --volume "$PWD:/work" --workdir /work --user "$(id -u)" REGISTRY/chromatune:0.1.0 \
#       chromatune prepare my-photos --source photos
#
# Other bases need Debian's packages and Python 3.11 or newer. CUDA's libraries come with torch.
ARG BASE=ubuntu:24.04
FROM ${BASE}

# KubeRay's probes need wget, the files of `ray up` rsync.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv rsync wget \
    && rm -rf /var/lib/apt/lists/*

# .dockerignore lists what is copied.
COPY . /tmp/chromatune
# NVIDIA's bases set CUDA_VERSION. The torch of PyPI would add 5 GB to an image for CPUs.
RUN python3 -m venv /opt/venv \
    && if [ -z "$CUDA_VERSION" ]; then \
        /opt/venv/bin/pip install --no-cache-dir --constraint /tmp/chromatune/constraints.txt \
            --no-deps --index-url https://download.pytorch.org/whl/cpu torch; \
    fi \
    && /opt/venv/bin/pip install --no-cache-dir --constraint /tmp/chromatune/constraints.txt \
        '/tmp/chromatune[cluster,heic,serve]' boto3 \
    && ln -s /opt/venv/bin/chromatune /opt/venv/bin/ray /usr/local/bin/

# Login shells, in which KubeRay and Ray start commands, reset PATH: they find the links.
ENV PATH=/opt/venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0
USER ubuntu
WORKDIR /home/ubuntu
CMD ["chromatune", "--help"]
