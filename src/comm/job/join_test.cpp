// SPDX-License-Identifier: Apache-2.0
// Processes that join as launchers describe them.
#include "comm/job/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/job/job_store.h"
#include "comm/job/roll.h"
#include "comm/ranks_for_tests.h"

namespace tutti::comm {
namespace {

using testing::HasSubstr;

// Each test and each process that runs it at the time has jobs of its own.
JobEnvironment describe(int rank, int size, int occasion = 0) {
  JobEnvironment job;
  job.launcher = "srun";
  job.job = join("srun ", getppid(), ".", occasion);
  job.rank = job.local_rank = rank;
  job.size = job.local_size = size;
  job.runtime_folder = testing::TempDir();
  return job;
}

int sum_of_ranks(Communicator& group) {
  int32_t value = group.rank() + 1;
  group.run({.kind = Kind::all_reduce, .dtype = DType::i32, .count = 1}, &value, &value);
  return value;
}

void expect_no_errors(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.ended);
    EXPECT_EQ(outcome.error, "");
  }
}

TEST(JoinJob, OfOneRankNeedsNobody) {
  Communicator group = join_as({}, {}, 0);
  EXPECT_EQ(group.size(), 1);
  EXPECT_EQ(sum_of_ranks(group), 1);
}

TEST(JoinJob, MeetsTheRanksOfTheHost) {
  expect_no_errors(fork_ranks(3, 60, [](int rank) {
    Communicator group = join_as(describe(rank, 3), {}, 0);
    expect(sum_of_ranks(group) == 6 && group.rank() == rank, "another group");
  }));
}

TEST(JoinJob, MeetsNoRankOfAnotherJob) {
  // Two jobs of two ranks that differ in their name, and two that differ in their secret.
  expect_no_errors(fork_ranks(8, 60, [](int process) {
    JobEnvironment job = describe(process % 2, 2, process / 4 ? 0 : process / 2);
    if (process >= 4) job.secret = process / 2 == 2 ? "this" : "that";
    Communicator group = join_as(job, {}, 0);
    int32_t value = process / 2;
    group.run({.kind = Kind::broadcast, .dtype = DType::i32, .count = 1}, &value, &value);
    expect(value == process / 2, "a rank of another job");
  }));
}

TEST(JoinJob, MayBeCalledAgain) {
  expect_no_errors(fork_ranks(2, 60, [](int rank) {
    for (int occasion = 0; occasion < 20; ++occasion) {
      Communicator group = join_as(describe(rank, 2), {}, occasion);
      expect(sum_of_ranks(group) == 3, "another group");
    }
  }));
}

TEST(JoinJob, NamesRanksThatDoNotCome) {
  const auto outcomes = fork_ranks(2, 60, [](int rank) {
    JoinOptions options;
    options.join_deadline_s = 0.3;
    join_as(describe(rank, 3), options, 0);
  });
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.code, Errc::timeout);
    EXPECT_THAT(outcome.error, HasSubstr("rank 2 of 3 did not come within 0.3 s"));
  }
}

std::string refusal(const JobEnvironment& job, const std::string& transport) {
  JoinOptions options;
  options.transport = transport;
  return outcome_of([&] { join_as(job, options, 0); }).error;
}

TEST(JoinJob, RefusesWhatATransportCannotDo) {
  JobEnvironment job = describe(0, 4);
  EXPECT_THAT(refusal(job, "tcp"), HasSubstr("transport 'tcp'; auto, shm or gloo is wanted"));
  job.local_size = 2;
  EXPECT_THAT(refusal(job, "shm"), HasSubstr("srun starts 2 of 4 ranks on this one"));
}

JobStore open_store(const JobEnvironment& job) {
  return open_job_store(job, job.job, Deadline(30));
}

void meet_by_store(const JobEnvironment& job) {
  const JobStore meeting = open_store(job);
  const Deadline deadline(30);
  const Member self{host_identity(), meeting.own_address, meeting.store_address};
  const auto members = call_roll(*meeting.store, "job", job.rank, job.size, self, deadline);
  expect(members.size() == static_cast<size_t>(job.size), "another size");
  for (const Member& member : members) {
    expect(member.host == self.host, "another host");
    expect(member.address == "127.0.0.1", "address " + member.address);
  }
  say_farewell(*meeting.store, "job", job.rank);
  if (job.rank == 0) await_farewells(*meeting.store, "job", job.size, deadline);
}

TEST(JobStore, IsFoundByItsAnnouncementOnOneHost) {
  expect_no_errors(fork_ranks(3, 60, [](int rank) { meet_by_store(describe(rank, 3)); }));
  const std::string left = announcement_path(testing::TempDir(), describe(0, 3).job);
  EXPECT_FALSE(std::filesystem::exists(left)) << left;
}

int free_port() { return port_of(listen_on("", 0)); }

TEST(JobStore, IsAtTheMastersPortBetweenHosts) {
  const int port = free_port();
  expect_no_errors(fork_ranks(4, 60, [&](int rank) {
    JobEnvironment job = describe(rank, 4);
    job.local_size = 2;
    job.secret = "0123456789abcdef";
    job.master_host = "localhost";
    job.master_port = port;
    meet_by_store(job);
  }));
}

TEST(JobStore, IsOnePortFurtherWhereTheLauncherListensItself) {
  JobEnvironment job = describe(0, 4);
  job.local_size = 2;
  job.secret = "0123456789abcdef";
  job.master_host = "localhost";
  job.master_port = free_port() - 1;
  job.master_port_used = true;
  EXPECT_EQ(open_store(job).server->port(), job.master_port + 1);
}

TEST(JobStore, MayBeKeptBySomebodyElse) {
  const std::string secret = "0123456789abcdef";
  TcpStoreServer server("127.0.0.1", 0, secret);
  JobEnvironment job = describe(0, 2);
  job.secret = secret;
  job.store = join("127.0.0.1:", server.port());
  const JobStore meeting = open_store(job);
  EXPECT_EQ(meeting.server, nullptr);
  meeting.store->set("k", "v");
  job.rank = 1;
  EXPECT_EQ(open_store(job).store->get("k", 30), "v");
}

TEST(JobStore, WantsASecretAndAnAddressBetweenHosts) {
  JobEnvironment job = describe(0, 4);
  job.local_size = 2;
  const auto refused = [&] { return outcome_of([&] { open_store(job); }).error; };
  EXPECT_THAT(refused(), HasSubstr("TUTTI_SECRET_FILE is missing; srun starts 2 of 4 ranks"));
  job.secret = "0123456789abcdef";
  EXPECT_THAT(refused(), HasSubstr("MASTER_ADDR is missing; srun starts 2 of 4 ranks"));
  job.master_host = "localhost";
  job.master_port = 65535;
  job.master_port_used = true;
  EXPECT_THAT(refused(), HasSubstr("set TUTTI_PORT"));
}

}  // namespace
}  // namespace tutti::comm
