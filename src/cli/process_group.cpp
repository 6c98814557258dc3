// SPDX-License-Identifier: Apache-2.0
#include "cli/process_group.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <list>
#include <optional>

#include "cli/arguments.h"
#include "cli/guard.h"
#include "cli/rank_output.h"
#include "cli/terminal_input.h"

namespace tutti::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTimeoutCode = 124;  // as timeout(1) gives
constexpr double kLastWords_s = 2;

struct Rank {
  int number;
  pid_t process;
  Tail tail;
  std::optional<Stream> out, err;
  bool running = true;
};

// The signals that this process hears by a descriptor; what was before comes back at the end.
class Signals {
 public:
  Signals() {
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
      struct sigaction action {};
      sigaction(number, nullptr, &action);
      // nohup and background jobs of simple shells ignore signals on purpose.
      if (action.sa_handler != SIG_IGN) sigaddset(&heard, number);
    }
    // Ignored, it would take the ends of children away.
    child_ = signal(SIGCHLD, SIG_DFL);
    pipe_ = signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &heard, &before_);
    line_ = Descriptor(signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK));
    if (line_.get() < 0) throw UsageError(std::string("signalfd: ") + strerror(errno));
  }
  ~Signals() {
    sigprocmask(SIG_SETMASK, &before_, nullptr);
    signal(SIGCHLD, child_);
    signal(SIGPIPE, pipe_);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return line_.get(); }
  const sigset_t& before() const { return before_; }
  /// The next signal; 0 when there is none.
  int next() const {
    signalfd_siginfo info;
    return read(line_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                                : 0;
  }

 private:
  sigset_t before_;
  sighandler_t child_, pipe_;
  Descriptor line_;
};

// Children that no rank is: what ranks left behind. Linux lists them; elsewhere there are none.
std::vector<pid_t> children() {
  std::vector<pid_t> found;
  std::ifstream list("/proc/thread-self/children");
  for (pid_t process; list >> process;) found.push_back(process);
  return found;
}

class ProcessGroup {
 public:
  explicit ProcessGroup(const GroupOptions& options) : options_(options), strangers_(children()) {
    // What ranks leave behind becomes a child of this process, which can end it.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!options.log_folder.empty()) std::filesystem::create_directories(options.log_folder);
    if (options.timeout_s > 0) end_at_ = Clock::now() + seconds(options.timeout_s);
  }

  ~ProcessGroup() {
    if (!ended_) end_what_is_left();
    prctl(PR_SET_CHILD_SUBREAPER, 0);
  }

  void start(const RankProgram& what) {
    Program program = what.program;
    if (ranks_.empty()) program.input = input_.for_child();
    Running running = spawn(program, signals_.before());
    guard_.watch(running.process);
    Rank& rank = ranks_.emplace_back();
    rank.number = what.rank;
    rank.process = running.process;
    const bool shown = options_.show_all || ranks_.size() == 1;
    const std::string number = std::to_string(what.rank);
    const std::string prefix = options_.show_all ? "[" + number + "] " : "";
    const std::string log =
        options_.log_folder.empty() ? "" : options_.log_folder + "/rank" + number;
    rank.out.emplace(std::move(running.out), shown ? &out_ : nullptr, prefix,
                     log.empty() ? "" : log + ".out", &rank.tail);
    rank.err.emplace(std::move(running.err), shown ? &err_ : nullptr, prefix,
                     log.empty() ? "" : log + ".err", &rank.tail);
    input_.started();
  }

  int run() {
    while (count_running() > 0) {
      look(patience_ms(kill_at_ ? kill_at_ : end_at_));
      if (end_at_ && Clock::now() >= *end_at_ && !kill_at_)
        end_all(kTimeoutCode, "the job took longer than " + number_text(options_.timeout_s) + " s");
      if (kill_at_ && Clock::now() >= *kill_at_) signal_all(SIGKILL);
    }
    // What a rank pipes its output through may have a last word.
    const auto last_words = Clock::now() + seconds(kLastWords_s);
    while (code_ == 0 && !streams().empty() && Clock::now() < last_words)
      look(patience_ms(last_words));
    end_what_is_left();
    for (Stream* stream : streams()) {
      while (stream->read_some()) {
      }
      if (stream->is_open()) stream->finish();
    }
    tell_report();
    for (const int before = interrupts_; interrupts_ == before;) {
      if (out_.is_empty() && err_.is_empty()) break;
      look(-1);
    }
    return code_;
  }

 private:
  static Clock::duration seconds(double s) {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(std::min(s, 1e8)));
  }
  static std::string number_text(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
  }

  std::vector<Stream*> streams() {
    std::vector<Stream*> all;
    for (Rank& rank : ranks_)
      for (auto* stream : {&rank.out, &rank.err})
        if (*stream && (*stream)->is_open()) all.push_back(&**stream);
    return all;
  }

  std::ptrdiff_t count_running() const {
    return std::count_if(ranks_.begin(), ranks_.end(), [](const Rank& r) { return r.running; });
  }

  static int patience_ms(const std::optional<Clock::time_point>& until) {
    if (!until) return -1;
    const std::chrono::duration<double, std::milli> left = *until - Clock::now();
    return static_cast<int>(std::clamp(std::ceil(left.count()), 0.0, 1e6));
  }

  // Waits for signals, for output and for room where it goes.
  void look(int ms) {
    const std::vector<Stream*> open = streams();
    std::vector<pollfd> polls = {{signals_.fd(), POLLIN, 0},
                                 {out_.is_empty() ? -1 : out_.fd(), POLLOUT, 0},
                                 {err_.is_empty() ? -1 : err_.fd(), POLLOUT, 0}};
    input_.add_to(polls);
    const size_t first = polls.size();
    for (const Stream* stream : open) {
      const bool wait = stream->sink() != nullptr && stream->sink()->is_full();
      polls.push_back({wait ? -1 : stream->fd(), POLLIN, 0});
    }
    if (poll(polls.data(), polls.size(), ms) <= 0) return;
    if (polls[1].revents != 0) out_.flush();
    if (polls[2].revents != 0) err_.flush();
    input_.move(std::span(polls).subspan(3, first - 3));
    for (size_t i = 0; i < open.size(); ++i)
      if (polls[first + i].revents != 0) open[i]->read_some();
    // After the output, so that the report has a rank's last lines.
    while (const int number = signals_.next()) {
      if (number == SIGCHLD)
        see_ends();
      else
        interrupt(number);
    }
  }

  // Sees who has ended. The processes stay unreaped until the end, so that no other group gets
  // their number.
  void see_ends() {
    const Rank* first = nullptr;
    int code = 0;
    for (Rank& rank : ranks_) {
      siginfo_t info{};
      if (!rank.running ||
          waitid(P_PID, static_cast<id_t>(rank.process), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
          info.si_pid == 0)
        continue;
      rank.running = false;
      const int found = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
      // Of those who are seen at once, a signal is rather the cause than an exit code.
      if (found == 0 || (first != nullptr && (code > 128 || found <= 128))) continue;
      first = &rank;
      code = found;
    }
    if (first == nullptr || kill_at_) return;
    culprit_ = first;
    end_all(code, "rank " + std::to_string(first->number) + " failed first: " + text_of(code));
  }

  static std::string text_of(int code) {
    if (code <= 128) return "exit code " + std::to_string(code);
    return "signal " + std::to_string(code - 128) + " (" + strsignal(code - 128) + ")";
  }

  void interrupt(int number) {
    ++interrupts_;
    if (kill_at_) return signal_all(SIGKILL);
    end_all(128 + number, text_of(128 + number) + " ended the job");
  }

  void end_all(int code, const std::string& report) {
    code_ = code;
    report_ = report;
    kill_at_ = Clock::now() + seconds(options_.grace_s);
    signal_all(SIGTERM);
    signal_all(SIGCONT);  // who is stopped hears nothing else
  }

  void signal_all(int number) {
    for (const Rank& rank : ranks_)
      if (rank.running) kill(-rank.process, number);
  }

  // Ranks that run, what is left of their groups, and what has left its group: that is a child of
  // this process when its parent has ended.
  void end_what_is_left() {
    for (const Rank& rank : ranks_) {
      kill(-rank.process, SIGKILL);
      guard_.forget(rank.process);
    }
    for (bool any = true; any;) {
      any = false;
      for (pid_t process : children()) {
        if (process == guard_.process() ||
            std::find(strangers_.begin(), strangers_.end(), process) != strangers_.end())
          continue;
        kill(process, SIGKILL);
        any = waitpid(process, nullptr, 0) == process;
      }
    }
    for (const Rank& rank : ranks_) waitpid(rank.process, nullptr, 0);
    ended_ = true;
  }

  void tell_report() {
    if (report_.empty()) return;
    std::string text = options_.title + ": " + report_;
    const bool quote = culprit_ != nullptr && (options_.show_all || culprit_ != &ranks_.front());
    if (quote && !culprit_->tail.lines().empty()) {
      text += "; its last lines:";
      for (const std::string& line : culprit_->tail.lines()) text += "\n  | " + line;
    }
    err_.add(text + "\n");
  }

  const GroupOptions options_;
  const std::vector<pid_t> strangers_;
  Signals signals_;
  Guard guard_;
  Sink out_{STDOUT_FILENO}, err_{STDERR_FILENO};
  TerminalInput input_;
  std::list<Rank> ranks_;
  std::optional<Clock::time_point> end_at_, kill_at_;
  int code_ = 0, interrupts_ = 0;
  bool ended_ = false;
  std::string report_;
  const Rank* culprit_ = nullptr;
};

}  // namespace

int run_process_group(const std::vector<RankProgram>& ranks, const GroupOptions& options) {
  ProcessGroup group(options);
  for (const RankProgram& rank : ranks) group.start(rank);
  return group.run();
}

}  // namespace tutti::cli
