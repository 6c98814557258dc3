// SPDX-License-Identifier: Apache-2.0
// What collectives_bench.cpp measures, by MPI:
//   mpicxx -O2 collectives_mpi.cpp -o collectives_mpi && mpirun --oversubscribe -n 4
//   collectives_mpi
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  constexpr long kMost = 64 << 20;
  std::vector<float> in(kMost / 4, 1.0f), out(kMost / 4);
  const char* names[] = {"barrier",    "all_reduce",     "all_gather",
                         "all_to_all", "reduce_scatter", "broadcast"};
  const auto call = [&](int kind, long bytes) {
    const int all = static_cast<int>(bytes / 4), part = all / size;
    if (kind == 0) MPI_Barrier(MPI_COMM_WORLD);
    if (kind == 1) MPI_Allreduce(in.data(), out.data(), all, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    if (kind == 2)
      MPI_Allgather(in.data(), part, MPI_FLOAT, out.data(), part, MPI_FLOAT, MPI_COMM_WORLD);
    if (kind == 3)
      MPI_Alltoall(in.data(), part, MPI_FLOAT, out.data(), part, MPI_FLOAT, MPI_COMM_WORLD);
    if (kind == 4)
      MPI_Reduce_scatter_block(in.data(), out.data(), part, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    if (kind == 5) MPI_Bcast(out.data(), all, MPI_FLOAT, 0, MPI_COMM_WORLD);
  };
  for (long bytes : {0L, 1L << 10, 64L << 10, 1L << 20, kMost}) {
    for (int kind = bytes == 0 ? 0 : 1; kind < (bytes == 0 ? 1 : 6); ++kind) {
      const int calls = bytes >= kMost ? 3 : bytes >= 1 << 20 ? 50 : 2000;
      double best = 1e30;
      for (int round = 0; round < (bytes >= kMost ? 8 : 12); ++round) {
        MPI_Barrier(MPI_COMM_WORLD);
        const double start = MPI_Wtime();
        for (int i = 0; i < calls; ++i) call(kind, bytes);
        MPI_Barrier(MPI_COMM_WORLD);
        best = std::min(best, (MPI_Wtime() - start) * 1e6 / calls);
      }
      if (rank == 0) std::printf("%-10s %-15s %9ld B %10.1f us\n", "mpi", names[kind], bytes, best);
    }
  }
  MPI_Finalize();
}
