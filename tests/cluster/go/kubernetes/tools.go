//go:build tools

// Keeps etcd in go.mod: it is built from the same module.
package main

import _ "go.etcd.io/etcd/server/v3"
