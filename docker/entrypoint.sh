#!/bin/sh
# Run a verb of assay. Workers of Prefect start `prefect flow-run execute` in the same image.
case ${1-} in
  prefect | python) exec "$@" ;;
  *) exec assay "$@" ;;
esac
