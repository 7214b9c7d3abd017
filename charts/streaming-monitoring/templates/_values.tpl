{{/*
Makes .Values whole again: every template begins with it. Helm takes a key away that is left empty, with all that is
below it; its default comes back from files/defaults.json. Elsewhere, null takes an entry of the user's away. The
dependencies have their values before any template runs, so theirs are left alone.
*/}}
{{- define "streaming-monitoring.values" -}}
{{- if not (hasKey .Values "restored") -}}
{{- include "streaming-monitoring.restore" . -}}
{{- /* All templates of a chart share their values. */ -}}
{{- $_ := set .Values "restored" true -}}
{{- $_ := set .Values "monitors" list -}}
{{- include "streaming-monitoring.findMonitors" . -}}
{{- end -}}
{{- end -}}

{{- define "streaming-monitoring.restore" -}}
{{- $config := dig "dataMonitor" "config" nil (mustDeepCopy (dict "dataMonitor" (.Values.dataMonitor | default dict))) -}}
{{- $configs := dict -}}
{{- range $name, $monitor := .Values.dataMonitors | default dict -}}
{{- with dig "config" nil ($monitor | default dict) -}}{{- $_ := set $configs $name (mustDeepCopy .) -}}{{- end -}}
{{- end -}}
{{- $foreign := list "global" "flink-kubernetes-operator" "strimzi-kafka-operator" "kube-prometheus-stack" -}}
{{- range $key, $value := .Values -}}
{{- if and (kindIs "map" $value) (not (has $key $foreign)) -}}{{- include "streaming-monitoring.prune" $value -}}{{- end -}}
{{- end -}}
{{- range $leaf := (.Files.Get "files/defaults.json" | fromJson).leaves -}}
{{- $at := $.Values -}}
{{- $skip := false -}}
{{- range initial $leaf.path -}}
{{- if not (or $skip (kindIs "map" (get $at .))) -}}
{{- if $leaf.entry -}}{{- $skip = true -}}{{- else -}}{{- $_ := set $at . dict -}}{{- end -}}
{{- end -}}
{{- if not $skip -}}{{- $at = get $at . -}}{{- end -}}
{{- end -}}
{{- if and (not $skip) (kindIs "invalid" (index $at (last $leaf.path))) -}}{{- $_ := set $at (last $leaf.path) $leaf.value -}}{{- end -}}
{{- end -}}
{{- /* Null is a value of the data monitor's own configuration. */ -}}
{{- with $config -}}{{- $_ := set $.Values.dataMonitor "config" . -}}{{- end -}}
{{- range $name, $config := $configs -}}{{- $_ := set (get $.Values.dataMonitors $name) "config" $config -}}{{- end -}}
{{- range $name := $foreign -}}
{{- if not (kindIs "map" (get $.Values $name)) -}}{{- $_ := set $.Values $name dict -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes every entry without a value out of a map, at any depth. */}}
{{- define "streaming-monitoring.prune" -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value -}}{{- $_ := unset $ $key -}}
{{- else if kindIs "map" $value -}}{{- include "streaming-monitoring.prune" $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a dependency is in the release; "true" or nothing. Without the key it is, as Helm sees it. Call with
(list $ "strimzi-kafka-operator"). */}}
{{- define "streaming-monitoring.dependency" -}}
{{- if ne (toString (get (get (index . 0).Values (index . 1)) "enabled")) "false" -}}true{{- end -}}
{{- end -}}
