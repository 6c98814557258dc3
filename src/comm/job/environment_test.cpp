// SPDX-License-Identifier: Apache-2.0
#include "comm/job/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "comm/job/slurm.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

using testing::HasSubstr;
using Settings = std::map<std::string, std::string>;

JobEnvironment read(const Settings& settings) {
  return read_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = settings.find(name);
    return found == settings.end() ? std::nullopt : std::optional(found->second);
  });
}

// The settings with some of them replaced; an empty value removes one.
Settings with(Settings settings, const Settings& changes) {
  for (const auto& [name, value] : changes) settings[name] = value;
  return settings;
}

std::string refusal(const Settings& settings) {
  try {
    read(settings);
  } catch (const Error& error) {
    return join(error.code(), ": ", error.what());
  }
  return "it was taken";
}

using Numbers = std::array<int, 4>;
Numbers numbers(const JobEnvironment& job) {
  return {job.rank, job.size, job.local_rank, job.local_size};
}

const Settings kTorchrun = {{"RANK", "5"},
                            {"WORLD_SIZE", "8"},
                            {"LOCAL_RANK", "1"},
                            {"LOCAL_WORLD_SIZE", "4"},
                            {"GROUP_RANK", "1"},
                            {"MASTER_ADDR", "node0"},
                            {"MASTER_PORT", "29500"},
                            {"TORCHELASTIC_RUN_ID", "none"},
                            {"TORCHELASTIC_RESTART_COUNT", "0"}};

const Settings kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "2"},
                           {"OMPI_COMM_WORLD_SIZE", "3"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"},
                           {"PMIX_NAMESPACE", "32112641"}};

const Settings kSlurm = {{"SLURM_JOB_ID", "77"},
                         {"SLURM_STEP_ID", "3"},
                         {"SLURM_PROCID", "6"},
                         {"SLURM_NTASKS", "7"},
                         {"SLURM_LOCALID", "0"},
                         {"SLURM_NODEID", "3"},
                         {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"},
                         {"SLURM_STEP_NODELIST", "n[08-10],gpu1"}};

TEST(JobEnvironment, IsOneRankWithoutALauncher) {
  const JobEnvironment job = read({{"HOME", "/"}, {"SLURM_CLUSTER_NAME", "c"}});
  EXPECT_EQ(numbers(job), (Numbers{0, 1, 0, 1}));
  EXPECT_EQ(job.launcher, "none");
}

TEST(JobEnvironment, UnderstandsTorchrun) {
  const JobEnvironment job = read(kTorchrun);
  EXPECT_EQ(numbers(job), (Numbers{5, 8, 1, 4}));
  EXPECT_EQ(job.launcher, "torchrun");
  EXPECT_EQ(job.master_host, "node0");
  EXPECT_EQ(job.master_port, 29500);
  EXPECT_TRUE(job.master_port_used);
}

TEST(JobEnvironment, TellsJobsOfTorchrunApart) {
  const std::string name = read(kTorchrun).job;
  for (const char* other : {"MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"})
    EXPECT_NE(read(with(kTorchrun, {{other, "1"}})).job, name) << other;
  EXPECT_EQ(read(with(kTorchrun, {{"RANK", "6"}, {"LOCAL_RANK", "2"}})).job, name);
}

TEST(JobEnvironment, UnderstandsItsOwnLauncher) {
  const JobEnvironment job = read({{"RANK", "1"},
                                   {"WORLD_SIZE", "2"},
                                   {"LOCAL_RANK", "1"},
                                   {"LOCAL_WORLD_SIZE", "2"},
                                   {"MASTER_ADDR", "127.0.0.1"},
                                   {"MASTER_PORT", "41000"},
                                   {"TUTTI_SECRET", "s3"},
                                   {"TUTTI_STORE", "h:1"},
                                   {"XDG_RUNTIME_DIR", "/run/user/7"}});
  EXPECT_EQ(numbers(job), (Numbers{1, 2, 1, 2}));
  EXPECT_EQ(job.launcher, "tutti launch");
  EXPECT_FALSE(job.master_port_used);
  EXPECT_EQ(job.secret, "s3");
  EXPECT_EQ(job.store, "h:1");
  EXPECT_EQ(job.runtime_folder, "/run/user/7");
}

TEST(JobEnvironment, TakesThePortOfTuttiPort) {
  const JobEnvironment job = read(with(kTorchrun, {{"TUTTI_PORT", "31000"}}));
  EXPECT_EQ(job.master_port, 31000);
  EXPECT_FALSE(job.master_port_used);
}

TEST(JobEnvironment, UnderstandsOpenMpi) {
  const JobEnvironment job = read(kOpenMpi);
  EXPECT_EQ(numbers(job), (Numbers{2, 3, 2, 3}));
  EXPECT_EQ(job.launcher, "mpirun");
  EXPECT_EQ(job.job, "mpirun 32112641");
  EXPECT_EQ(job.master_host, "");
  const JobEnvironment placed = read(with(kOpenMpi, {{"MASTER_ADDR", "a"}, {"MASTER_PORT", "9"}}));
  EXPECT_EQ(placed.master_host, "a");
  EXPECT_EQ(placed.master_port, 9);
}

TEST(JobEnvironment, UnderstandsSlurm) {
  const JobEnvironment job = read(kSlurm);
  EXPECT_EQ(numbers(job), (Numbers{6, 7, 0, 1}));
  EXPECT_EQ(job.launcher, "srun");
  EXPECT_EQ(job.job, "srun 77.3");
  EXPECT_EQ(job.master_host, "n08");
  EXPECT_EQ(read(with(kSlurm, {{"MASTER_ADDR", "login"}})).master_host, "login");
  const Settings inner = {{"SLURM_PROCID", "3"}, {"SLURM_LOCALID", "1"}, {"SLURM_NODEID", "1"}};
  EXPECT_EQ(numbers(read(with(kSlurm, inner))), (Numbers{3, 7, 1, 2}));
}

TEST(JobEnvironment, UnderstandsSlurmOnOneHost) {
  const Settings one = {{"SLURM_JOB_ID", "77"},
                        {"SLURM_STEP_ID", "0"},
                        {"SLURM_PROCID", "1"},
                        {"SLURM_NTASKS", "2"},
                        {"SLURM_LOCALID", "1"},
                        {"SLURM_NTASKS_PER_NODE", "2"},
                        {"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.7"}};
  EXPECT_EQ(numbers(read(one)), (Numbers{1, 2, 1, 2}));
  EXPECT_EQ(read(one).master_host, "10.0.0.7");
}

TEST(JobEnvironment, IsOneRankInAShellOfSbatch) {
  const Settings shell = {{"SLURM_JOB_ID", "77"}, {"SLURM_NTASKS", "8"}};
  EXPECT_EQ(numbers(read(shell)), (Numbers{0, 1, 0, 1}));
  EXPECT_EQ(numbers(read(with(shell, {{"SLURM_PROCID", "0"}}))), (Numbers{0, 1, 0, 1}));
  EXPECT_EQ(numbers(read(with(shell, {{"SLURM_STEP_ID", "4294967291"}}))), (Numbers{0, 1, 0, 1}));
}

TEST(JobEnvironment, TakesTheInnermostLauncher) {
  EXPECT_EQ(read(with(kSlurm, kOpenMpi)).launcher, "mpirun");
  EXPECT_EQ(read(with(with(kSlurm, kOpenMpi), kTorchrun)).launcher, "torchrun");
}

TEST(JobEnvironment, NamesTheVariableThatIsMissing) {
  for (const char* name :
       {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
    EXPECT_THAT(refusal(with(kTorchrun, {{name, ""}})),
                HasSubstr(join("invalid_argument: environment: ", name, " is missing")));
  for (const char* name :
       {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE", "PMIX_NAMESPACE"})
    EXPECT_THAT(refusal(with(kOpenMpi, {{name, ""}})), HasSubstr(join(name, " is missing")));
  for (const char* name : {"SLURM_JOB_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID",
                           "SLURM_NODEID", "SLURM_STEP_TASKS_PER_NODE"})
    EXPECT_THAT(refusal(with(kSlurm, {{name, ""}})), HasSubstr(join(name, " is missing")));
}

TEST(JobEnvironment, NamesTheVariableThatIsWrong) {
  const auto torchrun = [](const Settings& changes) { return refusal(with(kTorchrun, changes)); };
  EXPECT_THAT(torchrun({{"RANK", "8"}}), HasSubstr("RANK is '8'; a whole number of 0 to 7"));
  EXPECT_THAT(torchrun({{"RANK", "-1"}}), HasSubstr("RANK is '-1'"));
  EXPECT_THAT(torchrun({{"WORLD_SIZE", "8 "}}), HasSubstr("WORLD_SIZE is '8 '"));
  EXPECT_THAT(torchrun({{"WORLD_SIZE", "0"}}), HasSubstr("WORLD_SIZE is '0'"));
  EXPECT_THAT(torchrun({{"LOCAL_RANK", "4"}}), HasSubstr("LOCAL_RANK is '4'"));
  EXPECT_THAT(torchrun({{"LOCAL_WORLD_SIZE", "9"}}),
              HasSubstr("LOCAL_WORLD_SIZE says 9 ranks on this host; 1 to WORLD_SIZE, 8,"));
  EXPECT_THAT(torchrun({{"LOCAL_RANK", "3"}, {"RANK", "2"}}), HasSubstr("LOCAL_RANK is 3"));
  EXPECT_THAT(torchrun({{"LOCAL_WORLD_SIZE", "8"}}), HasSubstr("all ranks are on this host"));
  EXPECT_THAT(torchrun({{"MASTER_PORT", "65536"}}), HasSubstr("MASTER_PORT is '65536'"));
  EXPECT_THAT(torchrun({{"TUTTI_PORT", "x"}}), HasSubstr("TUTTI_PORT is 'x'"));
  EXPECT_THAT(refusal(with(kSlurm, {{"SLURM_NODEID", "4"}})), HasSubstr("SLURM_NODEID is '4'"));
}

TEST(SlurmCounts, AreExpanded) {
  const auto counts = [](const char* text) { return expand_counts(text, "COUNTS"); };
  EXPECT_EQ(counts("4"), (std::vector{4}));
  EXPECT_EQ(counts("2(x3),1"), (std::vector{2, 2, 2, 1}));
  for (const char* wrong : {"", "2(x3", "2(3)", "2,", "2(x0)", "a", "2(x99999999)", "123456789"})
    EXPECT_THROW(counts(wrong), Error) << wrong;
}

TEST(SlurmHosts, AreExpanded) {
  const auto hosts = [](const char* text) { return expand_hosts(text, "HOSTS"); };
  EXPECT_EQ(hosts("n1"), (std::vector<std::string>{"n1"}));
  EXPECT_EQ(hosts("n[1-3,7],login"), (std::vector<std::string>{"n1", "n2", "n3", "n7", "login"}));
  EXPECT_EQ(hosts("n[099-101]-ib"), (std::vector<std::string>{"n099-ib", "n100-ib", "n101-ib"}));
  EXPECT_EQ(hosts("r[1-2]n[5,3]"), (std::vector<std::string>{"r1n5", "r1n3", "r2n5", "r2n3"}));
  for (const char* wrong :
       {"", "n[", "n[1", "n[1-", "n[3-1]", "n[1-99999999]", "n1,", ",n1", "a[1-9999]b[1-9999]"})
    EXPECT_THROW(hosts(wrong), Error) << wrong;
}

}  // namespace
}  // namespace tutti::comm
