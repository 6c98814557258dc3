// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace tutti::comm {

/// Gives the value of an environment variable; none when it is absent. Empty is absent.
using Lookup = std::function<std::optional<std::string>(const std::string& name)>;

/// The variables of this process.
Lookup process_environment();

/// What a launcher tells a rank about its job.
struct JobEnvironment {
  std::string launcher = "none";  ///< "tutti launch", "torchrun", "mpirun", "srun"
  std::string job;  ///< that no other job of this host has at the time; empty without a launcher
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  ///< among the ranks of this host

  std::string master_host;        ///< where rank 0 runs; may be empty when all run on one host
  int master_port = 0;            ///< 0: none is given
  bool master_port_used = false;  ///< the launcher itself listens there
  std::string store;              ///< HOST:PORT of a store that somebody else keeps; or empty
  std::string secret;             ///< empty: the launcher gives none
  std::string secret_file;        ///< a file that holds one; or empty
  std::string runtime_folder;     ///< for short-lived files of this user
};

/// Understands, in this order, RANK ... of `tutti launch` and torchrun, OMPI_COMM_WORLD_RANK ... of
/// Open MPI, and SLURM_PROCID ... of srun; none of them is a job of one rank. Throws
/// invalid_argument that names the variable when one is missing, no number, or contradicts another.
JobEnvironment read_environment(const Lookup& lookup);

}  // namespace tutti::comm
