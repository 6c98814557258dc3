// SPDX-License-Identifier: Apache-2.0
#include "comm/job/job_store.h"

#include <cmath>

#include "comm/job/variables.h"
#include "comm/record.h"
#include "comm/store/sha256.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr const char* kHere = "127.0.0.1";

// Ports that neither the system gives to connections nor well-known services have.
int port_for(const std::string& job) {
  constexpr int kFirst = 12000, kCount = 20000;
  return kFirst + static_cast<int>(hash_label(job) % kCount);
}

// Empty when the environment has none.
std::string secret_of(const JobEnvironment& job) {
  if (!job.secret.empty() || job.secret_file.empty()) return job.secret;
  return read_secret_file(job.secret_file);
}

std::string wanted_secret(const JobEnvironment& job) {
  const std::string secret = secret_of(job);
  require_argument(!secret.empty(), "environment: TUTTI_SECRET_FILE is missing; ", job.launcher,
                   " starts ", job.local_size, " of ", job.size,
                   " ranks on this host, and those of several hosts need a file with a secret that "
                   "is the same on each");
  return secret;
}

void connect(JobStore& job_store, const Endpoint& endpoint, const std::string& secret,
             const Deadline& deadline) {
  const double left_s = std::ceil(10 * deadline.left_s()) / 10;  // as texts show it
  job_store.store = connect_store(endpoint, secret, left_s);
  const Fd way = connect_to(endpoint, deadline);
  job_store.own_address = own_address(way);
  job_store.store_address = peer_address(way);
}

JobStore open_within_host(const JobEnvironment& job, const std::string& name,
                          const Deadline& deadline) {
  JobStore result;
  const std::string path = announcement_path(job.runtime_folder, name);
  Announcement what;
  if (job.rank == 0) {
    what.secret = secret_of(job);
    if (what.secret.empty()) what.secret = hex_of(random_bytes(32));
    result.server = std::make_unique<TcpStoreServer>(kHere, 0, what.secret);
    what.port = result.server->port();
    result.announcement = std::make_unique<AnnouncementFile>(path, what);
  } else {
    what = await_announcement(path, deadline);
  }
  connect(result, {kHere, what.port}, what.secret, deadline);
  return result;
}

JobStore open_between_hosts(const JobEnvironment& job, const Deadline& deadline) {
  JobStore result;
  const std::string secret = wanted_secret(job);
  require_argument(!job.master_host.empty(), "environment: MASTER_ADDR is missing; ", job.launcher,
                   " starts ", job.local_size, " of ", job.size,
                   " ranks on this host, and those of several hosts need rank 0's address");
  int port = job.master_port == 0 ? port_for(job.job) : job.master_port + job.master_port_used;
  require_argument(port <= kMostPort, "environment: MASTER_PORT is ", job.master_port,
                   " and the next port is wanted; set TUTTI_PORT");
  Endpoint endpoint{job.master_host, port};
  if (job.rank == 0) {
    result.server = std::make_unique<TcpStoreServer>("", port, secret);
    endpoint.host = kHere;  // the way from outside need not work from here
  }
  connect(result, endpoint, secret, deadline);
  return result;
}

}  // namespace

JobStore open_job_store(const JobEnvironment& job, const std::string& name,
                        const Deadline& deadline) {
  if (!job.store.empty()) {
    JobStore result;
    connect(result, parse_endpoint(job.store, "TUTTI_STORE"), wanted_secret(job), deadline);
    return result;
  }
  if (job.size == job.local_size) return open_within_host(job, name, deadline);
  return open_between_hosts(job, deadline);
}

}  // namespace tutti::comm
