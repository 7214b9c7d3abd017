{{/*
Finds the data monitors: puts into .Values.monitors, a list that all templates share, what there is of each: "key" where
its values are, "values", "name" of its objects, "component" of its pods, "config" its configuration file. The one of
dataMonitor comes first, and is the one of the example pipeline.
*/}}
{{- define "streaming-monitoring.findMonitors" -}}
{{- $root := . -}}
{{- $wanted := .Values.dataMonitor.enabled -}}
{{- if kindIs "string" $wanted }}{{ $wanted = .Values.pipeline.enabled }}{{ end -}}
{{- if $wanted -}}
{{- include "streaming-monitoring.addMonitor" (list . (dict "key" "dataMonitor" "values" .Values.dataMonitor "name" (include "streaming-monitoring.dataMonitorName" .) "component" "data-monitor" "default" true)) -}}
{{- end -}}
{{- range $name, $own := .Values.dataMonitors -}}
{{- /* What says whose data it is, each says itself; all else is as in dataMonitor. */ -}}
{{- $values := omit (deepCopy $root.Values.dataMonitor) "enabled" "model" "reference" "config" "replicas" -}}
{{- $defaults := dict
      "enabled" true
      "model" $name
      "reference" (dict "content" "" "existingConfigMap" "" "existingClaim" "" "file" "reference.json")
      "replicas" 1
      "config" dict
      "groundTruth" (dict "topic" "")
      "kafka" (dict "topic" "" "deadLetterTopic" "" "groupId" (printf "data-monitor-%s" $name))
      "persistence" (dict "persistentVolumeClaim" (dict "existingClaim" ""))
      "reports" (dict "url" "" "ingress" (dict "enabled" false "host" "") "gateway" (dict "parentRefs" list "hostnames" list)) -}}
{{- $config := deepCopy (dig "config" dict $own) -}}
{{- $values = set (mergeOverwrite $values $defaults (deepCopy $own)) "config" $config -}}
{{- if ne (toString $values.enabled) "false" -}}
{{- if not $values.kafka.topic -}}
{{- fail (printf "dataMonitors.%s.kafka.topic is needed: the topic with the model's predictions" $name) -}}
{{- end -}}
{{- $base := printf "%s-%s" (include "streaming-monitoring.fullname" $root) $name -}}
{{- if gt (len $base) 39 -}}{{- $base = printf "%s-%s" (trunc 30 $base | trimSuffix "-") (sha256sum $base | trunc 8) -}}{{- end -}}
{{- include "streaming-monitoring.addMonitor" (list $root (dict "key" (printf "dataMonitors.%s" $name) "values" $values "name" (printf "%s-data-monitor" $base) "component" (printf "data-monitor-%s" $name) "default" false)) -}}
{{- end -}}
{{- end -}}
{{- /* Metrics tell monitors apart by their model; offsets and states by group and topic. */ -}}
{{- range $what := list "model" "kafka.groupId" "state.topic" -}}
{{- $seen := dict -}}
{{- range $monitor := $root.Values.monitors -}}
{{- $value := $monitor.config -}}
{{- range splitList "." $what -}}{{- $value = get $value . | default dict -}}{{- end -}}
{{- if and (kindIs "string" $value) $value (or (ne $what "state.topic") (eq (include "streaming-monitoring.stateStore" $monitor.config) "topic")) -}}
{{- with get $seen $value -}}
{{- fail (printf "%s and %s have the same %s, %s; each monitor needs its own" . $monitor.key $what $value) -}}
{{- end -}}
{{- $_ := set $seen $value $monitor.key -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the state is. Call with a configuration. */}}
{{- define "streaming-monitoring.stateStore" -}}
{{- get (.state | default dict) "store" | default "file" -}}
{{- end -}}

{{/* Adds one to .Values.monitors, with its configuration. Call with (list $ MONITOR). */}}
{{- define "streaming-monitoring.addMonitor" -}}
{{- $root := index . 0 -}}
{{- $monitor := index . 1 -}}
{{- $_ := set $monitor "panes" (and $monitor.default $root.Values.pipeline.enabled $root.Values.pipeline.panes.enabled) -}}
{{- $_ := set $monitor "reports" (and $monitor.values.reports.enabled (not $monitor.panes) (eq (int $monitor.values.replicas) 1)) -}}
{{- $_ := set $monitor "config" (include "streaming-monitoring.dataMonitorConfig" (list $root $monitor) | fromYaml) -}}
{{- $_ := set $root.Values "monitors" (append $root.Values.monitors $monitor) -}}
{{- end -}}

{{/* Whether there is a data monitor of dataMonitor. */}}
{{- define "streaming-monitoring.dataMonitor" -}}
{{- range .Values.monitors -}}{{- if .default -}}true{{- end -}}{{- end -}}
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

{{/* The ConfigMap that holds a monitor's reference; empty: a claim does. */}}
{{- define "streaming-monitoring.dataMonitorReferenceMap" -}}
{{- $reference := .values.reference -}}
{{- if $reference.existingConfigMap -}}
{{- $reference.existingConfigMap -}}
{{- else if not $reference.existingClaim -}}
{{- .name -}}-reference
{{- end -}}
{{- end -}}

{{/* The reference that the chart puts into a ConfigMap itself; empty: somebody else brings it. Call with (list $ MONITOR). */}}
{{- define "streaming-monitoring.dataMonitorReference" -}}
{{- $root := index . 0 -}}
{{- $monitor := index . 1 -}}
{{- $reference := $monitor.values.reference -}}
{{- if not (or $reference.existingConfigMap $reference.existingClaim) -}}
{{- if $reference.content -}}
{{- $reference.content -}}
{{- else if and $monitor.default $root.Values.pipeline.enabled -}}
{{- $root.Files.Get "files/data-monitor/ml-recommender.json" -}}
{{- else -}}
{{- fail (printf "%s.reference: there is none to compare with; make one with \"data-monitor reference build\" and pass it with --set-file %s.reference.content=reference.json, or name an existingConfigMap or existingClaim" $monitor.key $monitor.key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The configuration file: what the chart knows, and the values' config over it. Call with (list $ MONITOR). */}}
{{- define "streaming-monitoring.dataMonitorConfig" -}}
{{- $root := index . 0 -}}
{{- $key := (index . 1).key -}}
{{- $monitor := (index . 1).values -}}
{{- $registry := $monitor.schemaRegistry -}}
{{- $sasl := $monitor.kafka.sasl -}}
{{- $tls := $monitor.kafka.tls -}}
{{- if and $sasl.mechanism (not $sasl.existingSecret) -}}
{{- fail (printf "%s.kafka.sasl.existingSecret is needed for a mechanism (a Secret with the keys username and password)" $key) -}}
{{- end -}}
{{- if and $tls.existingSecret (not $tls.enabled) -}}
{{- fail (printf "%s.kafka.tls.existingSecret is set, but %s.kafka.tls.enabled is false" $key $key) -}}
{{- end -}}
{{- if and $tls.clientCertificate (not $tls.existingSecret) -}}
{{- fail (printf "%s.kafka.tls.existingSecret is needed for clientCertificate (a Secret with the keys ca.crt, tls.crt and tls.key)" $key) -}}
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
      "bootstrapServers" (include "streaming-monitoring.bootstrapServers" $root)
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
{{- if (index . 1).panes -}}
{{- $_ := set $kafka "topic" $root.Values.pipeline.panes.topic -}}
{{- $_ := set $kafka "format" "panes" -}}
{{- $_ := set $config "window" (dict "pane" (printf "%ds" (int $root.Values.pipeline.panes.seconds))) -}}
{{- end -}}
{{- if gt (int $monitor.replicas) 1 -}}
{{- $_ := set $config "state" (dict "store" "topic" "topic" (printf "%s-state" $monitor.kafka.groupId) "path" "/var/lib/data-monitor/state/snapshot") -}}
{{- end -}}
{{- with $registry.url -}}
{{- $settings := dict "url" . -}}
{{- if and $registry.ca.existingSecret $registry.ca.existingConfigMap -}}
{{- fail (printf "%s.schemaRegistry.ca: existingSecret and existingConfigMap are both set; the authority is in one of them" $key) -}}
{{- end -}}
{{- if or $registry.ca.existingSecret $registry.ca.existingConfigMap -}}
{{- $_ := set $settings "caFile" (printf "/etc/schema-registry/%s" $registry.ca.key) -}}
{{- end -}}
{{- $_ := set $config "schemaRegistry" $settings -}}
{{- else -}}
{{- if or $registry.existingSecret $registry.ca.existingSecret $registry.ca.existingConfigMap -}}
{{- fail (printf "%s.schemaRegistry.url is needed where schemaRegistry has a Secret or a ca" $key) -}}
{{- end -}}
{{- end -}}
{{- if (index . 1).reports -}}
{{- $_ := set $config "report" (dict "directory" "/var/lib/data-monitor/report" "kind" $monitor.reports.kind "every" $monitor.reports.every "keep" (int $monitor.reports.keep) "port" 8001) -}}
{{- end -}}
{{- with $monitor.groundTruth -}}
{{- if .topic -}}
{{- $_ := set $config "groundTruth" (dict "topic" .topic "fields" (dict "id" .fields.id "value" .fields.value) "wait" .wait "window" .window "capacity" (int .capacity)) -}}
{{- end -}}
{{- end -}}
{{- $config = mergeOverwrite $config (deepCopy $monitor.config) -}}
{{- if $config.groundTruth -}}
{{- if eq (include "streaming-monitoring.stateStore" $config) "topic" -}}
{{- fail (printf "%s.groundTruth needs a single replica, which reads all partitions: %s.replicas: 1, and no %s.config.state.store: topic" $key $key $key) -}}
{{- end -}}
{{- if eq (get ($config.kafka | default dict) "format" | default "json") "panes" -}}
{{- fail (printf "%s.groundTruth needs predictions with an id, and the monitor reads panes" $key) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int $monitor.replicas) 1) (ne (include "streaming-monitoring.stateStore" $config) "topic") -}}
{{- fail (printf "%s.replicas is %d, which needs %s.config.state.store: topic" $key (int $monitor.replicas) $key) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Where people reach a monitor's reports. */}}
{{- define "streaming-monitoring.reportUrl" -}}
{{- $reports := .values.reports -}}
{{- $url := "http://localhost:8001" -}}
{{- if $reports.url -}}
{{- $url = $reports.url -}}
{{- else if $reports.ingress.enabled -}}
{{- $url = printf "%s://%s" (ternary "https" "http" (ne $reports.ingress.tlsSecret "")) $reports.ingress.host -}}
{{- end -}}
{{- printf "%s/latest" (trimSuffix "/" $url) -}}
{{- end -}}

{{/* Annotations of alerts that only an installation knows, as JSON by alert. */}}
{{- define "streaming-monitoring.alertAnnotations" -}}
{{- $annotations := dict -}}
{{- $urls := dict -}}
{{- range .Values.monitors -}}
{{- if .reports -}}{{- $_ := set $urls .config.model (include "streaming-monitoring.reportUrl" .) -}}{{- end -}}
{{- end -}}
{{- if and (eq (len $urls) (len .Values.monitors)) (eq (len (values $urls | uniq)) 1) -}}
{{- $_ := set $annotations "MLModelPredictionDrift" (dict "report_url" (values $urls | first)) -}}
{{- else if $urls -}}
{{- /* The link of the model that the alert is about. */ -}}
{{- $links := "" -}}
{{- range $model, $url := $urls -}}
{{- $links = printf "%s{{ if eq $labels.model %q }}%s{{ end }}" $links $model $url -}}
{{- end -}}
{{- $_ := set $annotations "MLModelPredictionDrift" (dict "report_url" $links) -}}
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
