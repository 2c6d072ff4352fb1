#include "cpu/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

namespace fc {
namespace {

// CPUs allowed by one cgroup file pair or "max"-style file; 0 if there is no limit.
double quota_of(const std::string& path, bool v2) {
  double quota = -1, period = 0;
  if (v2) {
    std::ifstream file(path + "/cpu.max");
    std::string first;
    if (!(file >> first >> period) || first == "max") return 0;
    quota = std::stod(first);
  } else {
    std::ifstream(path + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(path + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

// The tightest limit from this process's cgroup up to the root.
double cgroup_cpus() {
  double limit = 0;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const size_t a = line.find(':'), b = line.find(':', a + 1);
    if (b == std::string::npos) continue;
    const std::string controllers = line.substr(a + 1, b - a - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    for (std::string path = line.substr(b + 1);; path.erase(path.rfind('/'))) {
      const double cpus = quota_of(root + path, v2);
      if (cpus > 0 && (limit == 0 || cpus < limit)) limit = cpus;
      if (path.find('/') == std::string::npos) break;
    }
  }
  return limit;
}

}  // namespace

int cpu_count() {
  int cpus = std::max(1u, std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
  const double limit = cgroup_cpus();
  if (limit > 0) cpus = std::max(1, std::min(cpus, static_cast<int>(limit + 0.999)));
#endif
  return cpus;
}

}  // namespace fc
