// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/collective.h"
#include "comm/fd.h"
#include "comm/tcp/board.h"
#include "tutti/error.h"

namespace tutti::comm {

/// What the ranks of a job tell each other beside their tensors, over one connection for each two:
/// what each of them does (ten times a second), that one has gone, and why all have to end.
///
/// A failure is decided by one rank, the first that is there, so that all throw the same: who finds
/// one proposes it, and all wait for the verdict. Any thread may call anything. Ranks are those of
/// the outermost group.
class Control {
 public:
  /// `links` holds a connection to each other rank, which has proved to be that rank.
  Control(int rank, std::vector<Fd> links);
  /// Says good-bye; what was decided reaches the others first.
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(links_.size()); }

  /// Throws the failure of the job, if there is one.
  void check() {
    if (state_.load(std::memory_order_acquire) != kNone) [[unlikely]]
      raise();
  }
  bool has_failed() const { return state_.load(std::memory_order_acquire) != kNone; }
  /// Proposes this failure and throws what was decided.
  [[noreturn]] void fail(Errc code, const std::string& text);
  /// Proposes without waiting.
  void propose(Errc code, const std::string& text) noexcept;

  /// How a rank is connected: left has said good-bye, died has closed the connection without,
  /// lost does not answer on the way.
  enum class Peer : uint8_t { here, left, died, lost };
  Peer peer(int outer) const { return link(outer).peer.load(std::memory_order_acquire); }
  /// When that became so.
  int64_t gone_ns(int outer) const { return link(outer).gone_ns.load(std::memory_order_acquire); }
  /// True for a rank that is connected and has not been heard for some beats: stopped, surely.
  bool is_silent(int outer) const;

  /// Opens the board of a group with these members.
  std::shared_ptr<Board> enter(uint64_t board, uint64_t members);
  /// That of a group which this rank has entered, or is about to.
  std::shared_ptr<Board> board(uint64_t board);
  /// Tells the others that this rank has left that group. The board of the outermost group stays.
  void leave(uint64_t board, bool stays);

  /// Messages that one rank has sent another in a group, by lane.
  using Counts = std::array<uint64_t, 2>;
  /// How the thread learns whether so many messages of a rank have come; until leave().
  void set_arrivals(uint64_t board, std::function<bool(int from, const Counts&)> have_come);
  /// Waits until what was sent to each rank of the group has come there, or it is gone.
  void drain(uint64_t board, const std::vector<Counts>& sent, double deadline_s);

  /// Asks these ranks what they do now and waits a little for the answers.
  void refresh(uint64_t ranks);

  /// Texts for ranks that come to a group; at most kMostFrame bytes.
  void send_note(int to, uint64_t board, std::string_view text);
  std::optional<std::string> take_note(int from, uint64_t board);

 private:
  struct Link {
    Fd socket;
    std::string in, out;
    std::atomic<Peer> peer = Peer::here;
    std::atomic<int64_t> gone_ns = 0, heard_ns = 0;
    int64_t beat_ns = 0;
    int events = 0;       // that the last wait has found
    uint64_t told = 0;    // the last number it answered
    bool behind = false;  // it has missed a beat
    bool ended = false;   // this side has closed for writing
  };
  struct Group {
    std::shared_ptr<Board> board;
    uint64_t members = 0;  // none before this rank has come
    std::map<int, std::deque<std::string>> notes;
    std::function<bool(int, const Counts&)> have_come;
    std::map<int, Counts> closing;  // ranks that wait for their messages to come
    uint64_t landed = 0;            // ranks that have all of this one's
  };
  enum State { kNone, kProposed, kDecided };

  Link& link(int outer) { return *links_[static_cast<size_t>(outer)]; }
  const Link& link(int outer) const { return *links_[static_cast<size_t>(outer)]; }
  Group& group(uint64_t board);
  [[noreturn]] void raise();
  void ask(int outer, uint64_t number, bool whole);
  void ask_judge();
  void decide(Errc code, std::string text);

  // control_thread.cpp
  void work();
  bool is_done() const;
  void wait_for_events(std::unique_lock<std::mutex>& lock);
  void wake();
  void receive(int outer);
  void handle(int outer, std::string_view frame);
  void take_beat(int outer, FrameReader& frame);
  void check_arrivals();
  void tell_landed(int outer, uint64_t board);
  void lose(int outer, Peer how);
  void post(int outer, std::string frame);
  void flush(int outer);
  void beat(int64_t now);
  std::string beat_for(int outer, bool whole);
  void say_bye();

  const int rank_;
  std::vector<std::unique_ptr<Link>> links_;
  Fd bell_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, Group> groups_;
  std::atomic<int> state_ = kNone;
  Errc code_ = Errc::internal;
  std::string text_;
  uint64_t judges_ = 0;  // that were asked
  int judge_ = 0;        // the last of them
  int64_t judge_until_ns_ = 0;
  bool anybody_closes_ = false;
  uint64_t asked_ = 0;
  int64_t next_beat_ns_ = 0;
  bool closing_ = false;
  int64_t close_until_ns_ = 0;
  std::thread thread_;
};

}  // namespace tutti::comm
