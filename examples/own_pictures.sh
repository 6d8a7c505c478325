#!/bin/sh
# A colorizer for images of your own, in two commands.
#
#   sh own_pictures.sh FOLDER [OPTIONS OF THE SEARCH]
#
# FOLDER may hold folders; a zip or a URL of one will do, too. docs/datasets.md has splits and groups.
set -e
folder=$1
shift
chromatune prepare my-photos --source "$folder"
chromatune search colorizer --dataset my-photos "$@"
