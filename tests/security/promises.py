"""What the tests here prove, for docs/results/security.json: promise by test function."""

from __future__ import annotations

PROMISES = {
    "test_resume.py::test_a_handed_launch_is_gone_on_with_and_nothing_in_it_is_run": (
        "A launch folder with a bomb in every file that Ray would unpickle is resumed to the same "
        "bits and nothing in it is run; no secret of the "
        "environment is in any file of launch, store and Ray's session"
    ),
    "test_models.py::test_a_model_of_another_loader_is_refused": (
        "A registered model with code and pickles wherever MLflow runs them from is refused"
    ),
    "test_models.py::test_weights_that_are_no_weights_are_refused": (
        "Pickles, torch files and code named in a spec are refused as weights"
    ),
    "test_models.py::test_code_beside_good_weights_is_not_run": (
        "Code that lies beside good weights in the registry is not run"
    ),
    "test_models.py::test_artifacts_on_another_server_are_not_asked_for": (
        "A registry entry sends no password to another server"
    ),
    "test_models.py::test_a_network_of_endless_layers_is_refused_unbuilt": (
        "A small model file that asks for a huge network is refused unbuilt"
    ),
    "test_models.py::test_a_pickle_in_a_checkpoint_is_not_read": (
        "A pickle in a checkpoint is refused, its digests right or not"
    ),
    "test_files.py::test_a_picture_of_ten_gigapixels_is_not_decoded": (
        "Pictures of up to 100 000 x 100 000 pixels are refused by their header, in each format"
    ),
    "test_files.py::test_a_zip_with_a_path_that_leads_out_is_refused": (
        "Zips with paths that lead out are refused"
    ),
    "test_files.py::test_a_zip_bomb_is_refused_unopened": "A zip bomb is refused unopened",
    "test_files.py::test_a_folder_of_nothing_but_links_out_of_it_is_refused": (
        "Links out of the data folder are not followed"
    ),
    "test_files.py::test_links_out_of_prepared_data_are_refused": (
        "Links out of a prepared dataset are refused"
    ),
    "test_documents.py::test_yaml_that_means_harm": (
        "YAML with objects, alias bombs, rings or endless nesting is refused"
    ),
    "test_documents.py::test_a_manifest_that_leads_elsewhere": (
        "Manifests that name places elsewhere are refused"
    ),
    "test_documents.py::test_a_launch_that_leads_elsewhere": (
        "Launch documents that name places elsewhere are refused, and nothing is written"
    ),
    "test_documents.py::test_a_handed_launch_names_no_cluster_to_join": (
        "A launch folder has no say in which foreign cluster is joined"
    ),
    "test_secrets.py::test_what_the_environment_holds_is_hidden": (
        "Passwords, tokens and keys of the environment are hidden wherever text is shown or kept"
    ),
    "test_secrets.py::test_a_launch_keeps_no_secret": (
        "A launch keeps neither the password of its store nor one from its command line"
    ),
    "test_secrets.py::test_tracebacks_show_no_secret": "Tracebacks show no secret",
    "test_corpus.py::test_broken_pictures": "Corpus of broken files: pictures",
    "test_corpus.py::test_broken_configurations": "Corpus: configurations",
    "test_corpus.py::test_broken_search_spaces": "Corpus: search spaces",
    "test_corpus.py::test_broken_points": "Corpus: points to begin a search with",
    "test_corpus.py::test_broken_models": "Corpus: model files",
    "test_corpus.py::test_broken_manifests": "Corpus: manifests",
    "test_corpus.py::test_broken_launches": "Corpus: launch documents",
    "test_fuzz.py::test_pictures": "Fuzz: picture files, nine formats",
    "test_fuzz.py::test_zips": "Fuzz: zips",
    "test_fuzz.py::test_configurations": "Fuzz: configurations",
    "test_fuzz.py::test_overrides": "Fuzz: --set",
    "test_fuzz.py::test_search_spaces": "Fuzz: search spaces",
    "test_fuzz.py::test_points": "Fuzz: points to begin a search with",
    "test_fuzz.py::test_manifests": "Fuzz: manifests",
    "test_fuzz.py::test_arrays": "Fuzz: prepared arrays",
    "test_fuzz.py::test_launches": "Fuzz: launch documents",
    "test_fuzz.py::test_cells": "Fuzz: cells and failures",
    "test_fuzz.py::test_checkpoints": "Fuzz: the state of checkpoints",
    "test_fuzz.py::test_tensors_of_checkpoints": "Fuzz: the tensors of checkpoints",
    "test_fuzz.py::test_models": "Fuzz: model files",
}
