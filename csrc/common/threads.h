// Which CPUs this process may use, and how a thread is pinned to one.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

namespace univar {

// CPUs in this process's affinity; empty if the system does not tell.
std::vector<int> allowed_cpus();

// How many CPUs this process may use: its affinity, and at most what its cgroup grants, at least 1.
std::size_t usable_cpus();

// Pins a thread to one CPU. If the system refuses, the thread stays as it is.
void pin_to_cpu(std::thread& thread, int cpu);

}  // namespace univar
