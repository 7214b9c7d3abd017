//go:build tools

// Keeps Prometheus in go.mod. Debian's package is built without the discovery of Kubernetes.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
