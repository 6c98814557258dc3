// SPDX-License-Identifier: Apache-2.0
// Ranks that add their numbers. Started by `tutti launch -n 4 build/examples/all_reduce`, torchrun
// --no-python, mpirun or srun; alone it is a job of one rank.
#include <cstdio>

#include "tutti/tutti.h"

int main(int argc, char** argv) {
  try {
    tutti::JoinOptions options;
    if (argc > 1) options.transport = argv[1];
    tutti::Communicator group = tutti::join_job(options);
    float number = static_cast<float>(group.rank() + 1);
    const tutti::comm::Collective sum{.kind = tutti::comm::Kind::all_reduce, .count = 1};
    group.run(sum, &number, &number);
    std::printf("rank %d of %d: the sum is %g\n", group.rank(), group.size(), number);
    const int wanted = group.size() * (group.size() + 1) / 2;
    return number == static_cast<float>(wanted) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "all_reduce: %s\n", error.what());
    return 2;
  }
}
