package server

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MemoryLimit is how much memory this process may use, by its control group; 0 if nothing bounds it but the machine.
func MemoryLimit() int64 {
	group, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	return memoryLimit("/sys/fs/cgroup", string(group))
}

// memoryLimit reads the smallest limit on the way from the process's group up to the root: of version 2 ("0::/path"), else
// of version 1's memory controller.
func memoryLimit(root, group string) int64 {
	var least int64
	for line := range strings.Lines(group) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, name := root, "memory.max"
		if parts[0] != "0" || parts[1] != "" {
			if parts[1] != "memory" {
				continue
			}
			base, name = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		}
		for dir := filepath.Clean("/" + parts[2]); ; dir = filepath.Dir(dir) {
			b, err := os.ReadFile(filepath.Join(base, dir, name))
			n, numErr := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			// Version 1 says "no limit" with a number near the largest.
			if err == nil && numErr == nil && n > 0 && n < 1<<60 && (least == 0 || n < least) {
				least = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// perConnection is the memory that an idle connection takes.
const perConnection = 20 << 10

// mostConnections leaves three quarters of the memory, and a quarter of the descriptors (and no less than 64 where there
// are as many), to everything else.
func mostConnections() int {
	memory := MemoryLimit()
	if memory == 0 {
		memory = machineMemory()
	}
	return connectionsFor(memory, descriptors())
}

func connectionsFor(memory, descriptors int64) int {
	most := int64(16384)
	if memory > 0 {
		most = min(most, memory/4/perConnection)
	}
	if descriptors > 0 {
		most = min(most, max(descriptors*3/4, 0), max(descriptors-64, descriptors/2))
	}
	return int(max(most, 16))
}

// machineMemory is the machine's own, 0 if it is not known.
func machineMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
