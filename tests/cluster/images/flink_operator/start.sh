#!/bin/sh
# Start the operator's JVM. The standalone client and the operator come first on the class path: they carry
# newer copies of a few Flink classes.
set -eu

lib=/opt/flink-operator/lib
first=$(ls "$lib"/flink-kubernetes-standalone-*.jar):$(ls "$lib"/flink-kubernetes-operator-[0-9]*.jar)
# Kryo and the Kubernetes client look into these packages of the JDK.
opens=""
for package in java.util java.lang java.net; do
    opens="$opens --add-opens java.base/$package=ALL-UNNAMED"
done
# shellcheck disable=SC2086 # the options are several words
exec java ${JVM_ARGS:--Xmx512m} $opens \
    -Dlog4j.configurationFile="$FLINK_CONF_DIR/log4j-operator.properties" \
    -cp "$first:$lib/*" org.apache.flink.kubernetes.operator.FlinkOperator
