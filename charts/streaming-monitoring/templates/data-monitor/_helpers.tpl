{{/* Whether there is a data monitor: as values say; auto: with the example pipeline. */}}
{{- define "streaming-monitoring.dataMonitor" -}}
{{- $wanted := .Values.dataMonitor.enabled -}}
{{- if kindIs "string" $wanted }}{{ $wanted = .Values.pipeline.enabled }}{{ end -}}
{{- if $wanted -}}true{{- end -}}
{{- end -}}

{{- define "streaming-monitoring.dataMonitorName" -}}
{{- include "streaming-monitoring.fullname" . }}-data-monitor
{{- end -}}

{{/* Whether the job counts the monitor's panes. */}}
{{- define "streaming-monitoring.panes" -}}
{{- if and .Values.pipeline.enabled .Values.pipeline.panes.enabled -}}
{{- if not (include "streaming-monitoring.dataMonitor" .) -}}
{{- fail "pipeline.panes.enabled is set, but nobody reads the panes: dataMonitor.enabled is false" -}}
{{- end -}}
{{- if .Values.dataMonitor.reference.existingClaim -}}
{{- fail "pipeline.panes.enabled needs the reference in a ConfigMap, which Flink's pods can read on any node; dataMonitor.reference.existingClaim is set" -}}
{{- end -}}
true
{{- end -}}
{{- end -}}

{{/* Whether there are reports: they show rows, and panes hold none. */}}
{{- define "streaming-monitoring.dataMonitorReports" -}}
{{- if and .Values.dataMonitor.reports.enabled (not (include "streaming-monitoring.panes" .)) -}}true{{- end -}}
{{- end -}}

{{/* The ConfigMap that holds the reference; empty: a claim does. */}}
{{- define "streaming-monitoring.dataMonitorReferenceMap" -}}
{{- $reference := .Values.dataMonitor.reference -}}
{{- if $reference.existingConfigMap -}}
{{- $reference.existingConfigMap -}}
{{- else if not $reference.existingClaim -}}
{{- include "streaming-monitoring.dataMonitorName" . -}}-reference
{{- end -}}
{{- end -}}

{{/* The reference that the chart puts into a ConfigMap itself; empty: somebody else brings it. */}}
{{- define "streaming-monitoring.dataMonitorReference" -}}
{{- $reference := .Values.dataMonitor.reference -}}
{{- if not (or $reference.existingConfigMap $reference.existingClaim) -}}
{{- if $reference.content -}}
{{- $reference.content -}}
{{- else if .Values.pipeline.enabled -}}
{{- .Files.Get "files/data-monitor/ml-recommender.json" -}}
{{- else -}}
{{- fail "dataMonitor.reference: there is none to compare with; make one with \"data-monitor reference build\" and pass it with --set-file dataMonitor.reference.content=reference.json, or name an existingConfigMap or existingClaim" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The configuration file: what the chart knows, and dataMonitor.config over it. */}}
{{- define "streaming-monitoring.dataMonitorConfig" -}}
{{- $monitor := .Values.dataMonitor -}}
{{- $sasl := $monitor.kafka.sasl -}}
{{- $tls := $monitor.kafka.tls -}}
{{- if and $sasl.mechanism (not $sasl.existingSecret) -}}
{{- fail "dataMonitor.kafka.sasl.existingSecret is needed for a mechanism (a Secret with the keys username and password)" -}}
{{- end -}}
{{- if and $tls.existingSecret (not $tls.enabled) -}}
{{- fail "dataMonitor.kafka.tls.existingSecret is set, but dataMonitor.kafka.tls.enabled is false" -}}
{{- end -}}
{{- if and $tls.clientCertificate (not $tls.existingSecret) -}}
{{- fail "dataMonitor.kafka.tls.existingSecret is needed for clientCertificate (a Secret with the keys ca.crt, tls.crt and tls.key)" -}}
{{- end -}}
{{- $properties := dict -}}
{{- if or $sasl.mechanism $tls.enabled -}}
{{- $_ := set $properties "security.protocol" (printf "%s%s" (ternary "SASL_" "" (ne $sasl.mechanism "")) (ternary "SSL" "PLAINTEXT" $tls.enabled)) -}}
{{- end -}}
{{- with $sasl.mechanism -}}
{{- $_ := set $properties "sasl.mechanisms" (dict "plain" "PLAIN" "scram-sha256" "SCRAM-SHA-256" "scram-sha512" "SCRAM-SHA-512" | dig . "") -}}
{{- end -}}
{{- if $tls.existingSecret -}}
{{- $_ := set $properties "ssl.ca.location" "/etc/kafka-tls/ca.crt" -}}
{{- end -}}
{{- if $tls.clientCertificate -}}
{{- $_ := set $properties "ssl.certificate.location" "/etc/kafka-tls/tls.crt" -}}
{{- $_ := set $properties "ssl.key.location" "/etc/kafka-tls/tls.key" -}}
{{- end -}}
{{- $kafka := dict
      "bootstrapServers" (include "streaming-monitoring.bootstrapServers" .)
      "topic" $monitor.kafka.topic
      "deadLetterTopic" ($monitor.kafka.deadLetterTopic | default nil)
      "groupId" $monitor.kafka.groupId
      "properties" (mergeOverwrite $properties (deepCopy $monitor.kafka.properties)) -}}
{{- $config := dict
      "model" $monitor.model
      "reference" (printf "/etc/reference/%s" $monitor.reference.file)
      "kafka" $kafka
      "state" (dict "path" "/var/lib/data-monitor/state/snapshot")
      "metrics" (dict "port" 8000) -}}
{{- if include "streaming-monitoring.panes" . -}}
{{- $_ := set $kafka "topic" .Values.pipeline.panes.topic -}}
{{- $_ := set $kafka "format" "panes" -}}
{{- $_ := set $config "window" (dict "pane" (printf "%ds" (int .Values.pipeline.panes.seconds))) -}}
{{- end -}}
{{- if include "streaming-monitoring.dataMonitorReports" . -}}
{{- $_ := set $config "report" (dict "directory" "/var/lib/data-monitor/report" "every" $monitor.reports.every "keep" (int $monitor.reports.keep) "port" 8001) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config (deepCopy $monitor.config)) -}}
{{- end -}}

{{/* Annotations of alerts that only an installation knows, as JSON by alert. */}}
{{- define "streaming-monitoring.alertAnnotations" -}}
{{- $reports := .Values.dataMonitor.reports -}}
{{- $annotations := dict -}}
{{- if and (include "streaming-monitoring.dataMonitor" .) (include "streaming-monitoring.dataMonitorReports" .) -}}
{{- $url := "http://localhost:8001" -}}
{{- if $reports.url -}}
{{- $url = $reports.url -}}
{{- else if $reports.ingress.enabled -}}
{{- $url = printf "%s://%s" (ternary "https" "http" (ne $reports.ingress.tlsSecret "")) $reports.ingress.host -}}
{{- end -}}
{{- $_ := set $annotations "MLModelPredictionDrift" (dict "report_url" (printf "%s/latest" (trimSuffix "/" $url))) -}}
{{- end -}}
{{- /* The list of records; the test of links knows the panel's number. */}}
{{- $bundled := get (index .Values "kube-prometheus-stack") "grafana" | default dict -}}
{{- $grafana := .Values.dashboards.url -}}
{{- if and (not $grafana) (include "streaming-monitoring.dependency" (list . "kube-prometheus-stack")) (ne (toString $bundled.enabled) "false") -}}
{{- $grafana = "http://localhost:3000" -}}
{{- end -}}
{{- if and .Values.dashboards.enabled $grafana -}}
{{- $panel := "%s/d/streaming-remediations?viewPanel=10&var-namespace={{ $labels.namespace }}" -}}
{{- $_ := set $annotations "RemediationEnded" (dict "dashboard_url" (printf $panel (trimSuffix "/" $grafana))) -}}
{{- end -}}
{{- toJson $annotations -}}
{{- end -}}
