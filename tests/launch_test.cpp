// SPDX-License-Identifier: Apache-2.0
// Ranks as processes: the command `tutti launch`, and jobs of other launchers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "program_for_tests.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using Words = std::vector<std::string>;

const std::string kTutti = TUTTI_BINARY_DIR "/../tutti";
const std::string kAllReduce = TUTTI_BINARY_DIR "/../examples/all_reduce";

Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// tutti launch options... sh -c script
Words launch(const Words& options, const std::string& script) {
  return Words{kTutti, "launch"} + options + Words{"sh", "-c", script};
}

// The numbers after "name=" in what ranks printed.
std::vector<pid_t> numbers_of(const std::string& name, const std::string& text) {
  std::vector<pid_t> numbers;
  for (size_t at = 0; (at = text.find(name + "=", at)) != std::string::npos; ++at)
    numbers.push_back(std::stoi(text.substr(at + name.size() + 1)));
  return numbers;
}

void expect_gone(const std::vector<pid_t>& processes, size_t count) {
  EXPECT_EQ(processes.size(), count);
  for (pid_t process : processes)
    EXPECT_TRUE(comes_true([&] { return !is_alive(process); })) << process;
}

// A folder of a test's own.
struct Folder {
  std::string path = testing::TempDir() + "tutti-launch-XXXXXX";
  Folder() { path = mkdtemp(path.data()); }
  ~Folder() { fs::remove_all(path); }
  // Shell words: marks that this rank is ready, or waits until all of the ranks are.
  std::string ready() const { return "touch " + path + "/$RANK; "; }
  std::string await(const std::string& ranks) const {
    return "for r in " + ranks + "; do until [ -e " + path + "/$r ]; do sleep 0.02; done; done; ";
  }
};

TEST(Launch, GivesRanksTheirNumbers) {
  const Ended ended = run_program(
      launch({"-n", "3"}, "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $GROUP_RANK"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(sorted_lines(ended.out),
              ElementsAre("[0] 0 0 3 3 0", "[1] 1 1 3 3 0", "[2] 2 2 3 3 0"));
  EXPECT_EQ(ended.err, "");
}

TEST(Launch, NumbersTheRanksOfSeveralHosts) {
  const Words options = {"-n",
                         "2",
                         "--nnodes",
                         "3",
                         "--node-rank",
                         "1",
                         "--env",
                         "TUTTI_SECRET=0123456789abcdef",
                         "--rdzv-endpoint",
                         "far:29500"};
  setenv("TUTTI_SECRET", "0123456789abcdef", 1);
  const Ended ended = run_program(
      launch(options, "echo $RANK $LOCAL_RANK $WORLD_SIZE $GROUP_RANK $MASTER_ADDR:$MASTER_PORT"));
  unsetenv("TUTTI_SECRET");
  EXPECT_THAT(sorted_lines(ended.out),
              ElementsAre("[2] 2 0 6 1 far:29500", "[3] 3 1 6 1 far:29500"))
      << ended.err;
}

TEST(Launch, TakesTheSpellingsOfTorchrun) {
  for (const Words& options :
       {Words{"--nproc_per_node=2", "--nnodes=1", "--node_rank=0", "--standalone", "--no_python"},
        Words{"--nproc-per-node", "2", "--master_addr", "127.0.0.1", "--master-port", "29511"}}) {
    const Ended ended = run_program(launch(options, "echo of $WORLD_SIZE"));
    EXPECT_THAT(sorted_lines(ended.out), ElementsAre("[0] of 2", "[1] of 2")) << ended.err;
  }
}

TEST(Launch, LeavesOptionsAfterTheProgramToIt) {
  const Ended ended = run_program({kTutti, "launch", "-n", "1", "echo", "--help", "-n", "--", "5"});
  EXPECT_EQ(ended.out, "[0] --help -n -- 5\n");
  EXPECT_EQ(run_program({kTutti, "launch", "-n", "1", "--", "echo", "--", "5"}).out, "[0] -- 5\n");
}

TEST(Launch, GivesAllRanksOneSecretThatIsNewEachTime) {
  std::set<std::string> secrets;
  for (int i = 0; i < 2; ++i) {
    const Ended ended = run_program(launch({"-n", "2"}, "echo $TUTTI_SECRET"));
    const std::vector<std::string> lines = sorted_lines(ended.out);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_THAT(lines[0], MatchesRegex("\\[0\\] [0-9a-f]{64}"));
    EXPECT_EQ(lines[0].substr(4), lines[1].substr(4));
    secrets.insert(lines[0]);
  }
  EXPECT_EQ(secrets.size(), 2u);
}

TEST(Launch, SharesOutTheCoresUnlessToldOtherwise) {
  const std::string script = "echo $OMP_NUM_THREADS $OMP_WAIT_POLICY";
  const Words clean = {"env", "-u", "OMP_NUM_THREADS", "-u", "OMP_WAIT_POLICY"};
  const std::string cores = sorted_lines(run_program(clean + Words{"nproc"}).out).at(0);
  EXPECT_EQ(run_program(clean + launch({}, script)).out, "[0] " + cores + " passive\n");
  const Ended many = run_program(clean + launch({"-n", "64"}, script));
  EXPECT_THAT(many.out, HasSubstr("[63] " + std::to_string(std::max(std::stoi(cores) / 64, 1))));
  const Words told = {"env", "OMP_NUM_THREADS=7", "OMP_WAIT_POLICY=active"};
  EXPECT_EQ(run_program(told + launch({}, script)).out, "[0] 7 active\n");
}

TEST(Launch, SetsVariables) {
  EXPECT_EQ(run_program(launch({"--env", "A=1=2", "--env", "B=x y"}, "echo \"$A $B\"")).out,
            "[0] 1=2 x y\n");
}

TEST(Launch, KeepsVariablesOfOtherLaunchersFromRanks) {
  const Ended ended = run_program(Words{"env", "TORCHELASTIC_RUN_ID=x", "RANK=5"} +
                                  launch({}, "echo $RANK ${TORCHELASTIC_RUN_ID-none}"));
  EXPECT_EQ(ended.out, "[0] 0 none\n");
}

TEST(Launch, GivesItsInputToTheFirstRank) {
  const Ended ended = run_program(launch({"-n", "3"}, "echo $(cat)."), "some text");
  EXPECT_THAT(sorted_lines(ended.out), ElementsAre("[0] some text.", "[1] .", "[2] ."));
}

TEST(Launch, KeepsLinesOfRanksWhole) {
  const Ended ended = run_program(launch(
      {"-n", "3"},
      "i=0; while [ $i -lt 300 ]; do printf a$RANK; printf '%0200d\\n' $i; i=$((i+1)); done"));
  std::map<char, int> next;
  std::istringstream lines(ended.out);
  for (std::string line; std::getline(lines, line);) {
    ASSERT_EQ(line.size(), 206u) << line;
    EXPECT_EQ(line.substr(0, 6), std::string("[") + line[1] + "] a" + line[1]);
    EXPECT_EQ(std::stoi(line.substr(6)), next[line[1]]++);
  }
  EXPECT_EQ(next, (std::map<char, int>{{'0', 300}, {'1', 300}, {'2', 300}}));
}

TEST(Launch, EndsALineThatItsRankDoesNot) {
  const Ended ended = run_program(launch({"-n", "2"}, "printf 'a\\nno end'"));
  EXPECT_THAT(sorted_lines(ended.out), ElementsAre("[0] a", "[0] no end", "[1] a", "[1] no end"));
  EXPECT_EQ(ended.out.back(), '\n');
}

TEST(Launch, KeepsErrorsApart) {
  const Ended ended = run_program(launch({}, "echo out; echo err >&2"));
  EXPECT_EQ(ended.out, "[0] out\n");
  EXPECT_EQ(ended.err, "[0] err\n");
}

TEST(Launch, StoresTheOutputOfEachRank) {
  const Folder parent;
  const fs::path folder = parent.path;
  const Ended ended = run_program(launch({"-n", "2", "--log-dir", (folder / "new").string()},
                                         "echo out $RANK; printf err >&2"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  const auto text = [&](const char* name) {
    std::ostringstream stream;
    stream << std::ifstream(folder / "new" / name).rdbuf();
    return stream.str();
  };
  EXPECT_EQ(text("rank0.out"), "out 0\n");
  EXPECT_EQ(text("rank1.out"), "out 1\n");
  EXPECT_EQ(text("rank1.err"), "err");
}

TEST(Launch, ReportsWhoFailedFirst) {
  const Ended ended = run_program(
      launch({"-n", "3"}, "[ $RANK != 1 ] && exec sleep 1000; echo said; echo why >&2; exit 7"));
  EXPECT_EQ(ended.code, 7);
  EXPECT_THAT(ended.err,
              HasSubstr("tutti launch: rank 1 failed first: exit code 7; its last lines:"));
  EXPECT_THAT(ended.err, HasSubstr("\n  | why\n"));
  EXPECT_THAT(ended.err, HasSubstr("\n  | said\n"));
}

TEST(Launch, ReportsASignal) {
  const Ended ended =
      run_program(launch({"-n", "2"}, "[ $RANK = 0 ] && exec sleep 1000; kill -9 $$"));
  EXPECT_EQ(ended.code, 137);
  EXPECT_THAT(ended.err, HasSubstr("rank 1 failed first: signal 9 (Killed)"));
}

TEST(Launch, WaitsForAllRanksThatSucceed) {
  const Ended ended = run_program(launch({"-n", "2"}, "[ $RANK = 0 ] || sleep 0.3; echo $RANK"));
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, "[0] 0\n[1] 1\n");
}

TEST(Launch, TellsOthersToEndAndKillsThemAfterTheGrace) {
  const Folder folder;
  const Ended ended =
      run_program(launch({"-n", "3", "--grace", "0.3"},
                         "trap 'echo told' TERM; [ $RANK = 2 ] && trap '' TERM; echo process=$$; " +
                             folder.ready() + "[ $RANK = 0 ] && { " + folder.await("1 2") +
                             "exit 3; }; while true; do sleep 0.05; done"));
  EXPECT_EQ(ended.code, 3);
  EXPECT_THAT(ended.out, HasSubstr("[1] told\n"));
  EXPECT_THAT(ended.out, Not(HasSubstr("[2] told\n")));
  expect_gone(numbers_of("process", ended.out), 3);
}

TEST(Launch, EndsAtItsTimeLimit) {
  const Ended ended =
      run_program(launch({"-n", "2", "--timeout", "0.2"}, "echo process=$$; exec sleep 1000"));
  EXPECT_EQ(ended.code, 124);
  EXPECT_THAT(ended.err, HasSubstr("tutti launch: the job took longer than 0.2 s\n"));
}

TEST(Launch, LeavesNoProcessOfARankBehind) {
  // One in the rank's process group, one in its own; the rank itself succeeds.
  const Ended ended =
      run_program(launch({"-n", "2"},
                         "sleep 1000 & echo process=$!; setsid sleep 1000 & echo process=$!; "
                         "sleep 0.1"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  expect_gone(numbers_of("process", ended.out), 4);
}

TEST(Launch, WaitsForTheLastWordsOfWhatRanksPipeInto) {
  const Ended ended =
      run_program({kTutti, "launch", "bash", "-c", "exec > >(sleep 0.05; cat); echo late"});
  EXPECT_EQ(ended.out, "[0] late\n");
}

TEST(Launch, EndsAllWhenItIsToldTo) {
  for (const auto& [number, code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 129}}) {
    TestProgram program(launch({"-n", "2"}, "echo process=$$; exec sleep 1000"));
    ASSERT_TRUE(program.prints("[0] ") && program.prints("[1] "));
    kill(program.process(), number);
    const Ended& ended = program.finish();
    EXPECT_EQ(ended.code, code);
    EXPECT_THAT(ended.err, HasSubstr("ended the job"));
    expect_gone(numbers_of("process", ended.out), 2);
  }
}

TEST(Launch, KillsAtOnceWhenToldTwice) {
  TestProgram program(launch({"--grace", "1000"},
                             "trap 'echo told' TERM; echo ready; while true; do sleep 0.05; done"));
  ASSERT_TRUE(program.prints("ready"));
  kill(program.process(), SIGINT);
  ASSERT_TRUE(program.prints("told"));
  kill(program.process(), SIGINT);
  EXPECT_EQ(program.finish().code, 130);
}

TEST(Launch, LeavesNothingWhenItIsKilled) {
  // The rank's own child too, though it ignores everything that can be ignored.
  TestProgram program(
      launch({"-n", "2"}, "trap '' TERM HUP INT; sleep 1000 & echo process=$! process=$$.; wait"));
  ASSERT_TRUE(program.prints("[0] ") && program.prints("[1] "));
  while (numbers_of("process", program.so_far().out).size() < 4) ASSERT_TRUE(program.prints("\n"));
  kill(program.process(), SIGKILL);
  expect_gone(numbers_of("process", program.finish().out), 4);
}

TEST(Launch, EndsRanksThatAreStopped) {
  const Folder folder;
  const Ended ended =
      run_program(launch({"-n", "2", "--grace", "1000"}, "[ $RANK = 1 ] && { " + folder.await("0") +
                                                             "exit 5; }; echo process=$$; " +
                                                             folder.ready() + "kill -STOP $$"));
  EXPECT_EQ(ended.code, 5);
  expect_gone(numbers_of("process", ended.out), 1);
}

// tutti launch with a terminal, at which the test types.
struct Terminal {
  pid_t process;
  int fd = -1;
  std::string shown;

  explicit Terminal(const Words& words) {
    std::vector<char*> pointers;
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    process = forkpty(&fd, nullptr, nullptr, nullptr);
    if (process != 0) return;
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  ~Terminal() {
    kill(process, SIGKILL);
    waitpid(process, nullptr, 0);
    close(fd);
  }
  bool type(const std::string& text) const {
    return write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  bool shows(const std::string& text) {
    char buffer[4096];
    while (shown.find(text) == std::string::npos) {
      pollfd p{fd, POLLIN, 0};
      const ssize_t got = poll(&p, 1, 30000) > 0 ? read(fd, buffer, sizeof buffer) : 0;
      if (got <= 0) return false;
      shown.append(buffer, static_cast<size_t>(got));
    }
    return true;
  }
};

TEST(Launch, PassesOnWhatIsTypedAtATerminal) {
  Terminal terminal(launch({"-n", "2"}, "read x; echo got $x.; read x; echo then $x."));
  ASSERT_TRUE(terminal.shows("[1] then ."));
  ASSERT_TRUE(terminal.type("some words\n"));
  EXPECT_TRUE(terminal.shows("[0] got some words.")) << terminal.shown;
  ASSERT_TRUE(terminal.type("\x04"));  // Ctrl-D
  EXPECT_TRUE(terminal.shows("[0] then .")) << terminal.shown;
}

TEST(Launch, EndsAllWhenItIsInterruptedAtATerminal) {
  Terminal terminal(launch({"-n", "2"}, "trap 'echo int' INT; echo process=$$; exec sleep 1000"));
  ASSERT_TRUE(terminal.shows("[0] process=") && terminal.shows("[1] process="));
  ASSERT_TRUE(terminal.type("\x03"));  // Ctrl-C
  EXPECT_TRUE(terminal.shows("signal 2 (Interrupt) ended the job")) << terminal.shown;
  expect_gone(numbers_of("process", terminal.shown), 2);
}

TEST(Launch, OutlivesWhoReadsItsOutput) {
  const Ended ended = run_program(
      {"bash", "-c", kTutti + " launch seq 100000 | head -n 1; echo code ${PIPESTATUS[0]}"});
  EXPECT_EQ(ended.out, "[0] 1\ncode 0\n");
}

TEST(Launch, RefusesInOneLine) {
  const auto refusal = [](const Words& words) {
    const Ended ended = run_program(Words{kTutti, "launch"} + words);
    EXPECT_EQ(ended.code, 2);
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    return ended.err;
  };
  EXPECT_THAT(refusal({"-n", "2"}), HasSubstr("a program to run is wanted"));
  EXPECT_THAT(refusal({"-n", "0", "true"}), HasSubstr("-n is 0"));
  EXPECT_THAT(refusal({"-n", "2", "nonsense-program"}),
              HasSubstr("nonsense-program is in no folder"));
  EXPECT_THAT(refusal({"/etc/passwd"}), HasSubstr("no such file that can be run"));
  EXPECT_THAT(refusal({"--grace", "soon", "true"}), HasSubstr("--grace is soon"));
  EXPECT_THAT(refusal({"--env", "X", "true"}), HasSubstr("NAME=VALUE is wanted"));
  EXPECT_THAT(refusal({"--nnodes", "2", "true"}), HasSubstr("--rdzv-endpoint"));
  EXPECT_THAT(refusal({"--nnodes", "2", "--rdzv-endpoint", "h:1", "true"}),
              HasSubstr("TUTTI_SECRET_FILE"));
  EXPECT_THAT(refusal({"--rdzv-endpoint", "h", "true"}), HasSubstr("HOST:PORT is wanted"));
  EXPECT_THAT(refusal({"--node-rank", "1", "true"}), HasSubstr("--node-rank is 1 of 1 hosts"));
}

void expect_all_reduced(const Ended& ended, int size) {
  EXPECT_EQ(ended.code, 0) << ended.err;
  for (int rank = 0; rank < size; ++rank)
    EXPECT_THAT(ended.out,
                HasSubstr("rank " + std::to_string(rank) + " of " + std::to_string(size) +
                          ": the sum is " + std::to_string(size * (size + 1) / 2)));
}

bool is_there(const std::string& program) {
  return run_program({"sh", "-c", "command -v " + program}).code == 0;
}

TEST(JoinJob, IsOneRankWithoutALauncher) { expect_all_reduced(run_program({kAllReduce}), 1); }

TEST(JoinJob, WorksUnderTheOwnLauncher) {
  expect_all_reduced(run_program({kTutti, "launch", "-n", "4", kAllReduce}), 4);
}

TEST(JoinJob, OfTwoJobsAtOnceStaysApart) {
  const Words words = {kTutti, "launch", "-n", "3", kAllReduce};
  TestProgram first(words), second(words);
  expect_all_reduced(first.finish(), 3);
  expect_all_reduced(second.finish(), 3);
}

int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t bytes = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(fd, any, bytes) | getsockname(fd, any, &bytes), 0);
  close(fd);
  return ntohs(address.sin_port);
}

TEST(JoinJob, WorksUnderTheLaunchersOfSeveralHosts) {
  const Folder folder;
  const std::string secret = folder.path + "/secret";
  std::ofstream(secret) << "0123456789abcdef\n";
  fs::permissions(secret, fs::perms::owner_read | fs::perms::owner_write);
  for (const std::string transport : {"auto", "gloo"}) {
    const auto host = [&, port = std::to_string(free_port())](const std::string& number) {
      return Words{"env",
                   "TUTTI_SECRET_FILE=" + secret,
                   kTutti,
                   "launch",
                   "-n",
                   "2",
                   "--nnodes=2",
                   "--node-rank",
                   number,
                   "--rdzv-endpoint",
                   "localhost:" + port,
                   kAllReduce,
                   transport};
    };
    TestProgram first(host("0")), second(host("1"));
    Ended ended = first.finish();
    if (ended.err.find("libgloo-dev") != std::string::npos) GTEST_SKIP() << ended.err;
    ended.out += second.finish().out;
    ended.err += second.finish().err;
    ended.code |= second.finish().code;
    expect_all_reduced(ended, 4);
  }
}

TEST(JoinJob, WorksByTcpWithinAHost) {
  const Ended ended = run_program({kTutti, "launch", "-n", "3", kAllReduce, "gloo"});
  if (ended.err.find("libgloo-dev") != std::string::npos) GTEST_SKIP() << ended.err;
  expect_all_reduced(ended, 3);
}

TEST(JoinJob, WorksUnderOpenMpi) {
  if (!is_there("mpirun")) GTEST_SKIP() << "mpirun is missing; openmpi-bin brings it";
  expect_all_reduced(
      run_program({"mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3", kAllReduce}), 3);
}

TEST(JoinJob, WorksUnderTorchrun) {
  const char* given = std::getenv("TUTTI_TORCHRUN");
  const std::string torchrun = given ? given : "torchrun";
  if (!is_there(torchrun))
    GTEST_SKIP() << "torchrun is not on PATH, nor does TUTTI_TORCHRUN name it";
  expect_all_reduced(run_program({torchrun, "--no-python", "--nproc_per_node=2", kAllReduce}), 2);
}

TEST(JoinJob, WorksUnderSlurm) {
  const std::string step = "SLURM_JOB_ID=" + std::to_string(getpid()) +
                           " SLURM_STEP_ID=0 SLURM_NTASKS=2 SLURM_STEP_TASKS_PER_NODE=2 ";
  const auto task = [&](const std::string& rank) {
    return "env " + step + "SLURM_PROCID=" + rank + " SLURM_LOCALID=" + rank + " " + kAllReduce;
  };
  expect_all_reduced(run_program({"sh", "-c", task("1") + " & " + task("0") + " && wait $!"}), 2);
}

TEST(JoinJob, NamesAVariableThatContradictsAnother) {
  const Ended ended =
      run_program(launch({"-n", "2"}, "[ $RANK = 1 ] && exit 0; RANK=2 exec " + kAllReduce));
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("environment: RANK is '2'; a whole number of 0 to 1 is wanted"));
}

}  // namespace
}  // namespace tutti
