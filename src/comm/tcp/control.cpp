// SPDX-License-Identifier: Apache-2.0
// What callers ask of the connections between ranks; control_thread.cpp serves them.
#include "comm/tcp/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <bit>
#include <chrono>

#include "comm/blame.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr int64_t kSilentNs = 350'000'000;  // some beats
constexpr auto kAnswerTime = std::chrono::milliseconds(200);
constexpr int64_t kVerdictNs = 500'000'000;
constexpr int kJudges = 4;                 // that are asked in turn
constexpr int64_t kByeNs = 1'000'000'000;  // for the last words

// Who is cut off is noticed after this time; who is stopped still answers by its kernel.
constexpr int kCutOffMs = 2500;

void set(const Fd& socket, int level, int option, int value) {
  setsockopt(socket.get(), level, option, &value, sizeof value);
}

void watch_way(const Fd& socket) {
  set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kCutOffMs);
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, kCutOffMs / 1000);
}

}  // namespace

Control::Control(int rank, std::vector<Fd> links)
    : rank_(rank), bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  require(bell_.get() >= 0, Errc::io, "eventfd: ", strerror(errno));
  const int64_t now = now_ns();
  for (Fd& socket : links) {
    watch_way(socket);
    links_.push_back(std::make_unique<Link>());
    links_.back()->socket = std::move(socket);
    links_.back()->heard_ns = now;
  }
  next_beat_ns_ = now;
  thread_ = std::thread([this] { work(); });
}

Control::~Control() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    close_until_ns_ = now_ns() + kByeNs;
    say_bye();
  }
  wake();
  thread_.join();
}

bool Control::is_silent(int outer) const {
  return outer != rank_ && peer(outer) == Peer::here &&
         now_ns() - link(outer).heard_ns.load(std::memory_order_relaxed) > kSilentNs;
}

Control::Group& Control::group(uint64_t board) {
  Group& g = groups_[board];
  if (!g.board) g.board = std::make_shared<Board>(board, rank_, size());
  return g;
}

std::shared_ptr<Board> Control::enter(uint64_t board, uint64_t members) {
  const std::lock_guard lock(mutex_);
  Group& g = group(board);
  g.members = members;
  g.board->mine().seen_ns.store(now_ns(), std::memory_order_relaxed);
  // Some may be ahead, and have told what this rank did not want to know yet.
  for (int r = 0; r < size(); ++r)
    if (r != rank_ && (members >> r & 1) != 0) ask(r, 0, true);
  return g.board;
}

std::shared_ptr<Board> Control::board(uint64_t board) {
  const std::lock_guard lock(mutex_);
  return group(board).board;
}

void Control::leave(uint64_t board, bool stays) {
  const std::lock_guard lock(mutex_);
  Group& g = group(board);
  g.board->mine().left.store(1);
  for (int r = 0; r < size(); ++r)
    if (r != rank_ && (g.members >> r & 1) != 0) post(r, beat_for(r, false));
  g.have_come = nullptr;
  if (!stays) groups_.erase(board);
}

void Control::set_arrivals(uint64_t board, std::function<bool(int from, const Counts&)> have_come) {
  const std::lock_guard lock(mutex_);
  group(board).have_come = std::move(have_come);
}

void Control::drain(uint64_t board, const std::vector<Counts>& sent, double deadline_s) {
  std::unique_lock lock(mutex_);
  Group& g = group(board);
  for (int r = 0; r < size(); ++r) {
    if (r == rank_ || (g.members >> r & 1) == 0) continue;
    FrameWriter frame(FrameKind::closing);
    frame.put(board);
    frame.put(sent[static_cast<size_t>(r)]);
    post(r, frame.take());
  }
  changed_.wait_for(lock, std::chrono::duration<double>(deadline_s), [&] {
    if (has_failed()) return true;
    for (int r = 0; r < size(); ++r) {
      const bool waits = r != rank_ && (g.members >> r & 1) != 0 && (g.landed >> r & 1) == 0;
      if (waits && peer(r) == Peer::here && g.board->of(r).left.load() == 0) return false;
    }
    return true;
  });
}

void Control::ask(int outer, uint64_t number, bool whole) {
  FrameWriter frame(FrameKind::ask);
  frame.put(number);
  frame.put(whole);
  post(outer, frame.take());
}

void Control::refresh(uint64_t ranks) {
  std::unique_lock lock(mutex_);
  const uint64_t number = ++asked_;
  const auto awaited = [&](int r) {
    return r != rank_ && (ranks >> r & 1) != 0 && peer(r) == Peer::here;
  };
  for (int r = 0; r < size(); ++r)
    if (awaited(r)) ask(r, number, false);
  changed_.wait_for(lock, kAnswerTime, [&] {
    if (state_.load() == kDecided) return true;
    for (int r = 0; r < size(); ++r)
      if (awaited(r) && link(r).told < number) return false;
    return true;
  });
}

void Control::send_note(int to, uint64_t board, std::string_view text) {
  const std::lock_guard lock(mutex_);
  FrameWriter frame(FrameKind::note);
  frame.put(board);
  frame.put_text(text);
  post(to, frame.take());
}

std::optional<std::string> Control::take_note(int from, uint64_t board) {
  const std::lock_guard lock(mutex_);
  auto& notes = group(board).notes[from];
  if (notes.empty()) return std::nullopt;
  std::string text = std::move(notes.front());
  notes.pop_front();
  return text;
}

void Control::fail(Errc code, const std::string& text) {
  propose(code, text);
  raise();
}

void Control::propose(Errc code, const std::string& text) noexcept try {
  const std::lock_guard lock(mutex_);
  if (state_.load() != kNone) return;
  code_ = code;
  text_ = text;
  state_.store(kProposed, std::memory_order_release);
  ask_judge();
} catch (...) {
  // Without memory for the message: this rank ends at least.
  state_.store(kDecided, std::memory_order_release);
}

/// Asks the first rank that is there and was not asked before; decides when that is this one.
void Control::ask_judge() {
  for (int r = 0; r < rank_ && std::popcount(judges_) < kJudges; ++r) {
    if ((judges_ >> r & 1) != 0 || peer(r) != Peer::here || is_silent(r)) continue;
    judge_ = r;
    judges_ |= uint64_t{1} << r;
    judge_until_ns_ = now_ns() + kVerdictNs;
    FrameWriter frame(FrameKind::proposal);
    frame.put(code_);
    frame.put_text(text_);
    return post(r, frame.take());
  }
  decide(code_, text_);
}

void Control::raise() {
  std::unique_lock lock(mutex_);
  // The thread asks others when a judge does not answer.
  changed_.wait(lock, [&] { return state_.load() == kDecided; });
  throw Error(code_, text_);
}

/// Tells everybody; who was told tells everybody too, so that all hear it when a judge dies.
void Control::decide(Errc code, std::string text) {
  if (state_.load() == kDecided) return;
  code_ = code;
  text_ = std::move(text);
  FrameWriter writer(FrameKind::verdict);
  writer.put(code);
  writer.put_text(text_);
  const std::string frame = writer.take();
  for (int r = 0; r < size(); ++r)
    if (r != rank_) post(r, frame);
  state_.store(kDecided, std::memory_order_release);
  changed_.notify_all();
}

}  // namespace tutti::comm
