// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "cli/arguments.h"
#include "cli/ranks.h"

namespace tutti::cli {
namespace {

constexpr int kMostPort = 65535;

void read_endpoint(const Arguments& arguments, Placement& placement) {
  const std::string text = arguments.value("--rdzv-endpoint");
  if (text.empty()) return;
  const size_t colon = text.rfind(':');
  const char* end = text.data() + text.size();
  int port = 0;
  if (colon != std::string::npos) std::from_chars(text.data() + colon + 1, end, port);
  if (colon == 0 || port < 1 || port > kMostPort)
    throw UsageError("option --rdzv-endpoint is " + text + "; HOST:PORT is wanted");
  placement.master_host = text.substr(0, colon);
  placement.master_port = port;
  if (placement.master_host.starts_with('[') && placement.master_host.ends_with(']'))
    placement.master_host = placement.master_host.substr(1, placement.master_host.size() - 2);
}

Placement read_placement(const Arguments& arguments) {
  if (arguments.has("-n") && arguments.has("--nproc-per-node"))
    throw UsageError("options -n and --nproc-per-node are the same; one is wanted");
  Placement placement;
  placement.ranks_per_host = arguments.number("-n", arguments.number("--nproc-per-node", 1, 1), 1);
  if (placement.ranks_per_host > kMostRanks)
    throw UsageError("launch: " + std::to_string(placement.ranks_per_host) +
                     " ranks on this host; at most " + std::to_string(kMostRanks) +
                     " are possible");
  placement.hosts = arguments.number("--nnodes", 1, 1);
  placement.host = arguments.number("--node-rank", 0, 0);
  read_endpoint(arguments, placement);
  placement.master_host = arguments.value("--master-addr", placement.master_host);
  placement.master_port = arguments.number("--master-port", placement.master_port, 1);
  if (placement.master_port > kMostPort)
    throw UsageError("option --master-port is " + arguments.value("--master-port") +
                     "; 1 to 65535 is wanted");
  if (placement.host >= placement.hosts)
    throw UsageError("option --node-rank is " + std::to_string(placement.host) + " of " +
                     std::to_string(placement.hosts) + " hosts; they count from 0");
  if (placement.hosts > 1 && placement.master_port == 0)
    throw UsageError("several hosts need --rdzv-endpoint HOST:PORT, where rank 0 can be reached");
  return placement;
}

int launch(const Arguments& arguments) {
  if (arguments.words().empty()) throw UsageError("launch: a program to run is wanted");
  const Placement placement = read_placement(arguments);
  GroupOptions options;
  options.timeout_s = arguments.seconds("--timeout", 0);
  options.grace_s = arguments.seconds("--grace", options.grace_s);
  options.log_folder = arguments.value("--log-dir");
  return run_process_group(rank_programs(placement, arguments.words(), arguments.values("--env")),
                           options);
}

}  // namespace

Command launch_command() {
  return {
      "launch",
      "launch -n N [options] [--] PROGRAM ARGUMENTS...",
      "Starts a program once for each rank, and ends all when one fails.",
      "Ranks find their numbers in RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE and GROUP_RANK,\n"
      "as torchrun sets them; tutti::join_job() reads them. Exit code: that of the rank that\n"
      "failed first, 128 + its signal, 124 for --timeout. See docs/launching.md.",
      {{"-n", "N", "ranks on this host"},
       {"--nproc-per-node", "N", "the same"},
       {"--nnodes", "N", "hosts; tutti launch runs once on each"},
       {"--node-rank", "I", "the number of this host, from 0"},
       {"--rdzv-endpoint", "HOST:PORT", "where rank 0 can be reached; needed for several hosts"},
       {"--master-addr", "HOST", "the same in two options"},
       {"--master-port", "PORT", ""},
       {"--timeout", "SECONDS", "ends the job when it takes longer"},
       {"--grace", "SECONDS", "from SIGTERM to SIGKILL; 5 when not given"},
       {"--log-dir", "FOLDER", "output of each rank also to rank0.out, rank0.err, ... there"},
       {"--env", "NAME=VALUE", "a variable for all ranks", true},
       {"--standalone", "", "as without it: for command lines of torchrun"},
       {"--no-python", "", "for command lines of torchrun: programs are never Python's"}},
      launch,
      true};
}

}  // namespace tutti::cli
