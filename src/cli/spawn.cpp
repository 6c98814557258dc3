// SPDX-License-Identifier: Apache-2.0
#include "cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <sstream>

#include "cli/arguments.h"

namespace tutti::cli {
namespace {

[[noreturn]] void fail_to(const std::string& what) {
  throw UsageError("cannot " + what + ": " + strerror(errno));
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

bool can_run(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

// All that the child needs, made before it exists.
struct Plan {
  std::string path;
  std::vector<char*> words, environment;
  int input, out, err, failure;
  pid_t parent;
  sigset_t mask;
};

// Between fork and exec: system calls only. Tells errno when the program cannot be started.
[[noreturn]] void become(const Plan& plan) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);
  // exec keeps what is ignored.
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &plan.mask, nullptr);
  if (dup2(plan.input, STDIN_FILENO) >= 0 && dup2(plan.out, STDOUT_FILENO) >= 0 &&
      dup2(plan.err, STDERR_FILENO) >= 0)
    execve(plan.path.c_str(), plan.words.data(), plan.environment.data());
  const int error = errno;
  if (write(plan.failure, &error, sizeof error) < 0) _exit(126);
  _exit(127);
}

}  // namespace

Pipe::Pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_to("make a pipe");
  read = Descriptor(ends[0]);
  write = Descriptor(ends[1]);
}

std::string find_program(const std::string& word) {
  std::string found = word;
  if (word.find('/') == std::string::npos) {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path ? path : "/usr/local/bin:/usr/bin:/bin");
    for (std::string folder; std::getline(folders, folder, ':');)
      if (can_run(found = (folder.empty() ? "." : folder) + "/" + word)) return found;
    throw UsageError("program " + word + " is in no folder of PATH");
  }
  if (can_run(found)) return found;
  throw UsageError("program " + word + ": there is no such file that can be run");
}

Running spawn(const Program& program, const sigset_t& mask) {
  Pipe out, err, failure;
  const Descriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  Plan plan;
  plan.path = find_program(program.words[0]);
  plan.words = pointers(program.words);
  plan.environment = pointers(program.environment);
  plan.input = program.input >= 0 ? program.input : nothing.get();
  plan.out = out.write.get();
  plan.err = err.write.get();
  plan.failure = failure.write.get();
  plan.parent = getpid();
  plan.mask = mask;

  Running running;
  running.process = fork();
  if (running.process == 0) become(plan);
  if (running.process < 0) fail_to("start a process");
  // Here too: the group must exist before anybody signals it.
  setpgid(running.process, running.process);
  failure.write.reset();
  int error = 0;
  ssize_t got;
  while ((got = read(failure.read.get(), &error, sizeof error)) < 0 && errno == EINTR) {
  }
  if (got > 0) {
    waitpid(running.process, nullptr, 0);
    errno = error;
    fail_to("start " + program.words[0]);
  }
  running.out = std::move(out.read);
  running.err = std::move(err.read);
  for (const Descriptor* end : {&running.out, &running.err}) fcntl(end->get(), F_SETFL, O_NONBLOCK);
  return running;
}

}  // namespace tutti::cli
