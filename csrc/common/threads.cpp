#include "common/threads.h"

#include <algorithm>
#include <cstdio>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif
#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace univar {

std::vector<int> allowed_cpus() {
    std::vector<int> cpus;
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
#endif
    return cpus;
}

int process_id() {
#if defined(__unix__) || defined(__APPLE__)
    return static_cast<int>(getpid());
#else
    return 0;
#endif
}

void pin_to_cpu([[maybe_unused]] std::thread& thread, [[maybe_unused]] int cpu) {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
#endif
}

namespace {

// CPUs' worth of time that the cgroup grants; 0 if it sets no limit.
std::size_t cgroup_cpus() {
    long quota = 0, period = 0;
    if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
        const bool has_limit = std::fscanf(file, "%ld %ld", &quota, &period) == 2;
        std::fclose(file);
        if (has_limit && period > 0) return static_cast<std::size_t>((quota + period - 1) / period);
    }
    return 0;
}

}  // namespace

std::size_t usable_cpus() {
    const std::vector<int> allowed = allowed_cpus();
    const std::size_t cpus =
        allowed.empty() ? std::max(1u, std::thread::hardware_concurrency()) : allowed.size();
    const std::size_t granted = cgroup_cpus();
    return granted > 0 ? std::min(cpus, granted) : cpus;
}

}  // namespace univar
