{{/* Whether there is a kafka-exporter of ours: Strimzi brings its own. */}}
{{- define "streaming-monitoring.kafkaExporter" -}}
{{- $existing := .Values.kafka.existing -}}
{{- if and (not .Values.kafka.enabled) $existing.exporter.enabled $existing.bootstrapServers -}}true{{- end -}}
{{- end -}}
