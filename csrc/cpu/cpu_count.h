// How many threads this process may run at once.
#pragma once

namespace fc {

// CPUs that affinity and the cgroups' quotas leave to this process; at least 1.
int cpu_count();

}  // namespace fc
