// SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "comm/gloo/join.h"
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

// Who keeps the store stays until nobody needs it, but not long: who has not said so by then has
// died. How the join ended stands before: errors here change nothing.
void leave(const JobStore& meeting, const std::string& name, const JobEnvironment& job) {
  constexpr double kPatience_s = 2;
  try {
    say_farewell(*meeting.store, name, job.rank);
  } catch (const Error&) {
  }
  if (meeting.server) await_farewells(*meeting.store, name, job.size, Deadline(kPatience_s));
}

Communicator join_by_store(const JobEnvironment& job, const std::string& name,
                           const GroupOptions& options, bool hierarchical) {
  const Deadline deadline(options.join_deadline_s);
  const JobStore meeting = open_job_store(job, name, deadline);
  const Member self{host_identity(), meeting.own_address, meeting.store_address};
  const std::vector<Member> members =
      call_roll(*meeting.store, name, job.rank, job.size, self, deadline);
  try {
    Communicator group = join_over_tcp(*meeting.store, name, job.rank, job.size, self.host,
                                       address_of(members, job.rank), options, hierarchical);
    leave(meeting, name, job);
    return group;
  } catch (...) {
    leave(meeting, name, job);
    throw;
  }
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
  return join_by_store(job, name, group, transport == "auto");
}

}  // namespace comm

Communicator join_job(const JoinOptions& options) {
  static std::atomic<int> occasions = 0;
  return comm::join_as(comm::read_environment(comm::process_environment()), options, occasions++);
}

}  // namespace tutti
