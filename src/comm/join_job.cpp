// SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "comm/job/environment.h"
#include "comm/job/job_store.h"
#include "comm/job/join.h"
#include "comm/job/roll.h"
#include "comm/shm/join.h"
#include "comm/store/sha256.h"
#include "core/error.h"

namespace tutti {
namespace comm {
namespace {

// The same on all ranks of the job, and on no other's.
std::string name_of(const JobEnvironment& job, int occasion) {
  std::string name = job.job;
  // Hosts may have the secret in different ways; the store of several hosts asks for it itself.
  if (!job.secret.empty() && job.size == job.local_size)
    name += " " + hex_of(bytes_of(hmac_sha256(job.secret, "name " + job.job))).substr(0, 12);
  return occasion == 0 ? name : join(name, " #", occasion);
}

Communicator join_by_store(const JobEnvironment& job, const JoinOptions& options,
                           const std::string& name, const GroupOptions& group) {
  const Deadline deadline(options.join_deadline_s);
  JobStore meeting = open_job_store(job, name, deadline);
  Store& store = *meeting.store;
  const Member self{host_identity(), meeting.own_address, meeting.store_address};
  const std::vector<Member> members = call_roll(store, name, job.rank, job.size, self, deadline);
  const std::string address = address_of(members, job.rank);
  (void)group;
  (void)address;
  fail(Errc::unsupported,
       "transport gloo: this build has none; install libgloo-dev and build again");
}

}  // namespace

Communicator join_as(const JobEnvironment& job, const JoinOptions& options, int occasion) {
  const std::string& transport = options.transport;
  require_argument(transport == "auto" || transport == "shm" || transport == "gloo",
                   "join_job: transport '", transport, "'; auto, shm or gloo is wanted");
  const GroupOptions group{options.join_deadline_s, options.deadline_s, {}};
  if (job.size == 1) return join_group(meet_in_process(), "job", 0, 1, group);
  const std::string name = name_of(job, occasion);
  const bool one_host = job.size == job.local_size;
  if (one_host && transport != "gloo")
    return join_group(meet_on_host(), name, job.rank, job.size, group);
  require_argument(transport != "shm", "join_job: transport shm is for ranks of one host; ",
                   job.launcher, " starts ", job.local_size, " of ", job.size,
                   " ranks on this one: gloo or auto is wanted");
  return join_by_store(job, options, name, group);
}

}  // namespace comm

Communicator join_job(const JoinOptions& options) {
  static std::atomic<int> occasions = 0;
  return comm::join_as(comm::read_environment(comm::process_environment()), options, occasions++);
}

}  // namespace tutti
