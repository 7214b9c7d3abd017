#!/bin/sh
# Starts what Flink asks for. In native Kubernetes mode that is a command of its own, such as
# `kubernetes-jobmanager.sh ...` or `bash -c '...'`; in standalone mode it is one of three names.
set -eu

case "${1:-}" in
    jobmanager | taskmanager | standalone-job)
        role=$1
        shift
        exec "$FLINK_HOME/bin/$role.sh" start-foreground "$@"
        ;;
    "")
        echo "usage: docker-entrypoint.sh jobmanager|taskmanager|standalone-job|COMMAND ..." >&2
        exit 64
        ;;
    *)
        # The scripts of $FLINK_HOME/bin are on the PATH.
        exec "$@"
        ;;
esac
