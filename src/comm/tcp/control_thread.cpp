// SPDX-License-Identifier: Apache-2.0
// The thread that serves the connections. All of it holds the mutex, but while it waits.
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "comm/blame.h"
#include "comm/tcp/control.h"

namespace tutti::comm {
namespace {

constexpr int64_t kBeatNs = 100'000'000;
constexpr int64_t kStallNs = 3 * kBeatNs;
constexpr int64_t kQuietNs = 20 * kBeatNs;  // from then on a silent rank gets fewer beats
constexpr int64_t kArrivalNs = 1'000'000;   // between looks at what has come
constexpr size_t kMostWaiting = 256 << 10;  // bytes that a peer has not taken
constexpr size_t kReadBytes = 64 << 10;

}  // namespace

void Control::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(bell_.get(), &one, sizeof one);
}

bool Control::is_done() const {
  if (!closing_) return false;
  if (now_ns() >= close_until_ns_) return true;
  return std::all_of(links_.begin(), links_.end(),
                     [](const auto& l) { return l->socket.get() < 0; });
}

void Control::work() {
  std::unique_lock lock(mutex_);
  int64_t last = now_ns();
  while (!is_done()) {
    wait_for_events(lock);
    const int64_t now = now_ns();
    // This process was stopped: others were not silent, it was deaf.
    if (now - last > kStallNs)
      for (auto& l : links_) l->heard_ns.fetch_add(now - last);
    last = now;
    for (int r = 0; r < size(); ++r) {
      if (link(r).events != 0) receive(r);
      if (link(r).events != 0) flush(r);
    }
    const bool unanswered = now >= judge_until_ns_ || peer(judge_) != Peer::here;
    if (state_.load() == kProposed && unanswered) ask_judge();
    if (anybody_closes_) check_arrivals();
    if (now >= next_beat_ns_ && !closing_) beat(now);
  }
  for (auto& l : links_) l->socket = Fd();
}

void Control::wait_for_events(std::unique_lock<std::mutex>& lock) {
  std::array<pollfd, kMostRanks + 1> polls;
  polls[0] = {bell_.get(), POLLIN, 0};
  // Entries of those who are not there have a descriptor below 0, which poll skips.
  for (int r = 0; r < size(); ++r) {
    const short events = link(r).out.empty() ? POLLIN : POLLIN | POLLOUT;
    polls[static_cast<size_t>(r) + 1] = {link(r).socket.get(), events, 0};
  }
  int64_t until = closing_ ? close_until_ns_ : next_beat_ns_;
  if (anybody_closes_) until = std::min(until, now_ns() + kArrivalNs);
  const int64_t ms = std::clamp<int64_t>((until - now_ns()) / 1'000'000 + 1, 0, 1000);
  lock.unlock();
  poll(polls.data(), static_cast<nfds_t>(size()) + 1, static_cast<int>(ms));
  uint64_t rings;
  if (polls[0].revents != 0) [[maybe_unused]]
    const auto got = read(bell_.get(), &rings, sizeof rings);
  lock.lock();
  for (int r = 0; r < size(); ++r) link(r).events = polls[static_cast<size_t>(r) + 1].revents;
}

void Control::receive(int outer) {
  Link& l = link(outer);
  char buffer[kReadBytes];
  while (l.peer.load() == Peer::here) {
    const ssize_t got = recv(l.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) l.in.append(buffer, static_cast<size_t>(got));
    if (got > 0) l.heard_ns.store(now_ns(), std::memory_order_relaxed);
    const int error = got < 0 ? errno : 0;
    size_t at = 0;
    for (uint32_t length; l.in.size() - at >= sizeof length; at += sizeof length + length) {
      memcpy(&length, l.in.data() + at, sizeof length);
      if (length == 0 || length > kMostFrame) return lose(outer, Peer::died);
      if (l.in.size() - at - sizeof length < length) break;
      handle(outer, std::string_view(l.in).substr(at + sizeof length, length));
    }
    l.in.erase(0, at);
    if (got > 0) continue;
    const bool unreachable = error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ||
                             error == ENETDOWN || error == EHOSTDOWN;
    return lose(outer, unreachable ? Peer::lost : Peer::died);
  }
}

void Control::handle(int outer, std::string_view bytes) {
  FrameReader frame(bytes);
  switch (frame.get<FrameKind>()) {
    case FrameKind::beat:
      return take_beat(outer, frame);
    case FrameKind::ask: {
      FrameWriter answer(FrameKind::told);
      answer.put(frame.get<uint64_t>());
      post(outer, beat_for(outer, frame.get<bool>()));
      return post(outer, answer.take());
    }
    case FrameKind::told:
      link(outer).told = std::max(link(outer).told, frame.get<uint64_t>());
      return changed_.notify_all();
    case FrameKind::note: {
      const auto board = frame.get<uint64_t>();
      group(board).notes[outer].emplace_back(frame.rest());
      return;
    }
    case FrameKind::closing: {
      const auto board = frame.get<uint64_t>();
      const auto counts = frame.get<Counts>();
      if (groups_.count(board) == 0) return tell_landed(outer, board);
      groups_[board].closing[outer] = counts;
      return check_arrivals();
    }
    case FrameKind::landed:
      if (const auto at = groups_.find(frame.get<uint64_t>()); at != groups_.end())
        at->second.landed |= uint64_t{1} << outer;
      return changed_.notify_all();
    case FrameKind::proposal:
    case FrameKind::verdict: {
      const auto code = frame.get<Errc>();
      return decide(code, std::string(frame.rest()));
    }
    case FrameKind::bye:
      return lose(outer, Peer::left);
  }
}

void Control::take_beat(int outer, FrameReader& frame) {
  const int64_t shift = now_ns() - frame.get<int64_t>();
  while (frame.ok() && !frame.rest().empty()) {
    const auto board = frame.get<uint64_t>();
    const auto at = groups_.find(board);
    if (at != groups_.end()) {
      at->second.board->read_from(outer, frame, shift);
    } else {
      // Of a group that this rank has left, or not come to yet: then it will ask.
      Board(board, 0, 1).read_from(0, frame, shift);
    }
  }
  changed_.notify_all();
}

/// Tells those whose messages have come so; a group that this rank has left wants none.
void Control::check_arrivals() {
  anybody_closes_ = false;
  for (auto& [id, g] : groups_) {
    const bool left = g.board->mine().left.load() != 0;
    for (auto it = g.closing.begin(); it != g.closing.end();) {
      const auto [outer, counts] = *it;
      const bool come = left || (g.have_come && g.have_come(outer, counts));
      if (come) tell_landed(outer, id);
      if (!come) anybody_closes_ = true;
      it = come ? g.closing.erase(it) : std::next(it);
    }
  }
}

void Control::tell_landed(int outer, uint64_t board) {
  FrameWriter frame(FrameKind::landed);
  frame.put(board);
  post(outer, frame.take());
}

void Control::lose(int outer, Peer how) {
  Link& l = link(outer);
  if (l.peer.load() != Peer::here) return;
  l.gone_ns.store(now_ns());
  l.peer.store(how);
  l.socket = Fd();
  l.out.clear();
  for (auto& [id, g] : groups_) g.closing.erase(outer);
  changed_.notify_all();
}

void Control::post(int outer, std::string frame) {
  Link& l = link(outer);
  if (l.peer.load() != Peer::here || l.ended) return;
  l.out += frame;
  flush(outer);
  if (!l.out.empty()) wake();
}

void Control::flush(int outer) {
  Link& l = link(outer);
  while (!l.out.empty()) {
    const ssize_t sent =
        send(l.socket.get(), l.out.data(), l.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      l.out.erase(0, static_cast<size_t>(sent));
    } else if (errno != EINTR) {
      break;  // recv tells whether the connection has ended
    }
  }
  if (closing_ && l.out.empty() && !l.ended) {
    l.ended = true;
    shutdown(l.socket.get(), SHUT_WR);
  }
}

std::string Control::beat_for(int outer, bool whole) {
  FrameWriter frame(FrameKind::beat);
  frame.put(now_ns());
  for (const auto& [id, g] : groups_)
    if ((g.members >> outer & 1) != 0) g.board->write_mine(frame, whole);
  return frame.take();
}

void Control::beat(int64_t now) {
  next_beat_ns_ = now + kBeatNs;
  for (int r = 0; r < size(); ++r) {
    Link& l = link(r);
    if (r == rank_ || peer(r) != Peer::here) continue;
    const bool rare = now - l.heard_ns.load() > kQuietNs && now - l.beat_ns < kQuietNs;
    if (rare || l.out.size() > kMostWaiting) {
      l.behind = true;
      continue;
    }
    post(r, beat_for(r, l.behind));
    l.behind = false;
    l.beat_ns = now;
  }
  for (auto& [id, g] : groups_) g.board->turn();
}

void Control::say_bye() {
  for (int r = 0; r < size(); ++r) {
    if (r == rank_) continue;
    post(r, FrameWriter(FrameKind::bye).take());
    flush(r);
  }
}

}  // namespace tutti::comm
