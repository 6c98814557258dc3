// SPDX-License-Identifier: Apache-2.0
#include "cli/ranks.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "cli/arguments.h"

extern char** environ;

namespace tutti::cli {
namespace {

using Settings = std::map<std::string, std::string>;

// This process's variables, without those by which another launcher describes its job.
Settings inherited() {
  Settings settings;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string::npos || text.starts_with("TORCHELASTIC_")) continue;
    settings[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return settings;
}

std::string random_secret() {
  unsigned char bytes[32];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw UsageError(std::string("getrandom: ") + strerror(errno));
  std::string text;
  for (unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// The system gives a port to nobody else for a while after this.
int free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (bind(socket.get(), any, bytes) != 0 || getsockname(socket.get(), any, &bytes) != 0)
    throw UsageError(std::string("no port is free: ") + strerror(errno));
  return ntohs(address.sin_port);
}

void add_secret(const Placement& placement, Settings& settings) {
  if (!settings["TUTTI_SECRET"].empty() || !settings["TUTTI_SECRET_FILE"].empty()) return;
  if (placement.hosts > 1)
    throw UsageError(
        "ranks on several hosts need a secret that all share: set TUTTI_SECRET_FILE to a file of "
        "mode 600 with at least 16 random bytes as text, the same on each host");
  settings["TUTTI_SECRET"] = random_secret();
}

}  // namespace

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int cores_per_rank(int ranks) {
  cpu_set_t cores;
  const int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return std::max(count / ranks, 1);
}

std::vector<RankProgram> rank_programs(const Placement& placement,
                                       const std::vector<std::string>& words,
                                       const std::vector<std::string>& settings) {
  const int local_size = placement.ranks_per_host;
  Settings common = inherited();
  common.emplace("OMP_NUM_THREADS", std::to_string(cores_per_rank(local_size)));
  common.emplace("OMP_WAIT_POLICY", "passive");
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0)
      throw UsageError("setting " + setting + " is not understood; NAME=VALUE is wanted");
    common[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  add_secret(placement, common);
  const int port = placement.master_port == 0 ? free_port() : placement.master_port;
  common["WORLD_SIZE"] = std::to_string(local_size * placement.hosts);
  common["LOCAL_WORLD_SIZE"] = std::to_string(local_size);
  common["GROUP_RANK"] = std::to_string(placement.host);
  common["MASTER_ADDR"] = placement.master_host;
  common["MASTER_PORT"] = std::to_string(port);
  std::vector<RankProgram> programs;
  for (int local = 0; local < local_size; ++local) {
    RankProgram& rank = programs.emplace_back();
    rank.rank = placement.host * local_size + local;
    common["RANK"] = std::to_string(rank.rank);
    common["LOCAL_RANK"] = std::to_string(local);
    rank.program.words = words;
    for (const auto& [name, value] : common)
      if (!value.empty()) rank.program.environment.push_back(name + "=" + value);
  }
  return programs;
}

}  // namespace tutti::cli
