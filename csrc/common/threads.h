// Which CPUs this process may use, and how a thread is pinned to one.
#pragma once

#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace univar {

// CPUs in this process's affinity; empty if the system does not tell.
std::vector<int> allowed_cpus();

// Of this process: another one after fork().
int process_id();

// How many CPUs this process may use: its affinity, and at most what its cgroup grants, at least 1.
std::size_t usable_cpus();

// At most `n` threads that run `work(i)`, i from 0: fewer where the system starts no more.
template <typename Work>
std::vector<std::thread> start_threads(std::size_t n, Work work) {
    std::vector<std::thread> threads;
    try {
        for (std::size_t i = 0; i < n; ++i) threads.emplace_back(work, i);
    } catch (const std::system_error&) {  // those there are do it all
    }
    return threads;
}

// Pins a thread to one CPU. If the system refuses, the thread stays as it is.
void pin_to_cpu(std::thread& thread, int cpu);

}  // namespace univar
