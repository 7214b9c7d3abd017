#!/bin/sh
# Start one node of a KRaft cluster. The pod's ordinal, counted from FIRST_NODE_ID, is the node's id, so that
# one configuration file serves a whole pool.
set -eu

: "${FIRST_NODE_ID:?}" "${CLUSTER_ID:?}" "${CONFIGURATION:?}" "${DATA:?}"
node_id=$((FIRST_NODE_ID + ${HOSTNAME##*-}))
properties=/tmp/server.properties
sed -e "s/@NODE_ID@/${node_id}/g" -e "s/@HOSTNAME@/${HOSTNAME}/g" "$CONFIGURATION" >"$properties"

export CLASSPATH='/opt/kafka/libs/*'
found=$(sed -n 's/^cluster\.id=//p' "$DATA/meta.properties" 2>/dev/null || true)
if [ -n "$found" ] && [ "$found" != "$CLUSTER_ID" ]; then
    # As Strimzi's image: the volume is that of another cluster.
    echo "Invalid cluster.id in: $DATA/meta.properties. Expected $CLUSTER_ID, but read $found" >&2
    exit 1
fi
if [ ! -f "$DATA/meta.properties" ]; then
    java -Xmx128m kafka.tools.StorageTool format --cluster-id "$CLUSTER_ID" --config "$properties"
fi
# shellcheck disable=SC2086 # the options are several words
exec java ${JAVA_OPTIONS:--Xms256m -Xmx512m} -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties kafka.Kafka "$properties"
