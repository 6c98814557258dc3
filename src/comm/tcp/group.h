// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/blame.h"
#include "comm/tcp/control.h"

namespace tutti::comm {

/// One group of ranks that are connected by a Control: what they do, waits for them that end, and
/// failures that all see.
class TcpGroup : public View {
 public:
  /// `members` are ranks of the outermost group, whose name is `outermost`.
  TcpGroup(std::shared_ptr<Control> control, const std::string& name, std::vector<int> members,
           const std::string& outermost);
  ~TcpGroup() override;

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }
  const std::string& group_name() const override { return name_; }
  bool is_outermost() const override { return board_ == outer_board_; }
  int outer_rank(int r) const override { return members_[static_cast<size_t>(r)]; }
  const Activity& activity(int r) const override { return board_->of(outer_rank(r)); }
  const Activity& outer_activity(int outer) const override { return outer_board_->of(outer); }
  Fate fate(int r) const override;

  uint64_t id() const { return board_->id(); }
  Control& control() { return *control_; }
  const std::shared_ptr<Control>& shared_control() const { return control_; }
  const std::string& outermost_name() const { return outermost_; }
  const std::vector<int>& members() const { return members_; }
  double deadline_s() const { return static_cast<double>(deadline_ns_.load()) * 1e-9; }
  void set_deadline(double seconds) { deadline_ns_ = static_cast<int64_t>(seconds * 1e9); }
  /// All ranks but this one.
  uint64_t others() const { return ((size() == 64 ? 0 : uint64_t{1} << size()) - 1) & ~bit(rank_); }
  static uint64_t bit(int r) { return uint64_t{1} << r; }

  void check() { control_->check(); }
  [[noreturn]] void fail(Errc code, const std::string& text) { control_->fail(code, text); }

  /// Tells the others that this rank goes; the destructor does so too.
  void leave();

  /// Opens this rank's entry for what it begins now.
  Record& begin(const Collective& c, uint64_t number, uint64_t label_hash);
  Record& begin_pair(const Collective& c, uint64_t number, uint64_t label_hash, uint64_t& entry);
  Record& pair_record(uint64_t entry) { return board_->mine().pair[entry % kHistory]; }
  void end(Record& record);
  /// What rank r said it runs, with its data.
  void heard(int r, const uint64_t* record) { board_->heard(outer_rank(r), record, now_ns()); }
  /// Asks all what they do now.
  void refresh();

  /// Waits until pending(), the ranks that something is still wanted from, are none. Throws when
  /// they are gone, or at the deadline.
  template <class Pending>
  void wait(const Record& record, const Pending& pending) {
    if (pending() == 0) return;
    Wait w{now_ns()};
    for (uint64_t left; (left = pending()) != 0;) {
      if (!pause(w)) continue;
      if (const uint64_t absent = look(w, left); absent != 0) blame(absent & pending(), w, record);
    }
    if (w.shown) show_waiting(-1);
  }

  /// For pairs, whose waits are rounds of their own.
  void pause_pair(int64_t since_ns, int rounds);
  /// Blames rank r when it is gone or late for the second time in a row.
  void look_at(int r, const Record& record, int64_t since_ns, bool& suspect);
  void show_moving();

 private:
  struct Wait {
    int64_t since = 0;
    int rounds = 0;
    int64_t look_ns = 0;    // of the last look
    uint64_t suspects = 0;  // gone at the last look
    bool shown = false;     // others see that it waits
    bool late = false;
  };
  bool pause(Wait& w);
  uint64_t look(Wait& w, uint64_t left);
  void blame(uint64_t absent, const Wait& w, const Record& record);
  uint64_t stuck_behind(uint64_t absent, const Entry& waited) const;
  bool is_gone(int r) const;
  void show_waiting(int r);
  void show_alive(int64_t now);

  std::shared_ptr<Control> control_;
  std::string name_, outermost_;
  std::vector<int> members_;
  int rank_ = 0;
  std::shared_ptr<Board> board_, outer_board_;
  std::atomic<int64_t> deadline_ns_ = 30'000'000'000;
  bool may_spin_ = false;
  bool shows_wait_ = false;
  bool has_left_ = false;
};

}  // namespace tutti::comm
