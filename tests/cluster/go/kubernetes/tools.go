//go:build tools

// Keeps etcd and kubeadm in go.mod: they are built from the same module.
package main

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kubeadm"
)
