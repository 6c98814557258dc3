// SPDX-License-Identifier: Apache-2.0
// The one file of the library that reads the environment: launchers have no other way to say which
// rank a process is.
#include "comm/job/environment.h"

#include <cstdlib>

#include "comm/job/slurm.h"
#include "comm/job/variables.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

// RANK, WORLD_SIZE, ...: of `tutti launch`, torchrun, and those who set them by hand.
void read_torch(const Variables& variables, JobEnvironment& job) {
  read_ranks(variables, {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}, job);
  const bool torchrun = variables.has("TORCHELASTIC_RUN_ID");
  job.launcher = torchrun ? "torchrun" : "tutti launch";
  job.master_port_used = torchrun;
  job.master_host = variables.wanted("MASTER_ADDR", "RANK");
  job.master_port = variables.number("MASTER_PORT", "RANK", 1, kMostPort);
  job.job = join(job.launcher, " ", job.master_host, ":", job.master_port);
  // torchrun may start ranks again: those that are still ending are another job.
  if (torchrun)
    job.job += join(" ", variables.text("TORCHELASTIC_RUN_ID", ""), " ",
                    variables.text("TORCHELASTIC_RESTART_COUNT", "0"));
}

void read_open_mpi(const Variables& variables, JobEnvironment& job) {
  const std::string world = "OMPI_COMM_WORLD_";
  read_ranks(variables,
             {world + "RANK", world + "SIZE", world + "LOCAL_RANK", world + "LOCAL_SIZE"}, job);
  job.launcher = "mpirun";
  const std::string name = variables.first_of({"OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE"});
  job.job = join("mpirun ", variables.wanted(name, world + "RANK"));
}

void read_common(const Variables& variables, JobEnvironment& job) {
  if (job.master_host.empty()) job.master_host = variables.text("MASTER_ADDR", "");
  if (job.master_port == 0 && variables.has("MASTER_PORT"))
    job.master_port = variables.number("MASTER_PORT", job.launcher, 1, kMostPort);
  if (variables.has("TUTTI_PORT")) {
    job.master_port = variables.number("TUTTI_PORT", job.launcher, 1, kMostPort);
    job.master_port_used = false;
  }
  job.store = variables.text("TUTTI_STORE", "");
  job.secret = variables.text("TUTTI_SECRET", "");
  job.secret_file = variables.text("TUTTI_SECRET_FILE", "");
  job.runtime_folder = variables.text("XDG_RUNTIME_DIR", "/tmp");
}

}  // namespace

Lookup process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

JobEnvironment read_environment(const Lookup& lookup) {
  const Variables variables(lookup);
  JobEnvironment job;
  const auto any = [&](std::initializer_list<const char*> names) {
    return variables.has(variables.first_of(names));
  };
  // The innermost launcher first: mpirun runs inside of Slurm, torchrun inside of either.
  if (any({"RANK", "WORLD_SIZE", "LOCAL_RANK"})) {
    read_torch(variables, job);
  } else if (any({"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"})) {
    read_open_mpi(variables, job);
  } else if (is_slurm_task(variables)) {
    read_slurm(variables, job);
  } else {
    return job;
  }
  read_common(variables, job);
  return job;
}

}  // namespace tutti::comm
