// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "comm/activity.h"

namespace tutti::comm {

/// What one rank knows of the others of its group: what texts about failures are made of.
///
/// Ranks are those of the group but where the name says `outer`: the outermost group's, whose
/// numbers people see.
class View {
 public:
  /// Why a rank does not do what others wait for.
  enum class Fate { late, stopped, left, died, lost };

  virtual ~View() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const std::string& group_name() const = 0;
  virtual bool is_outermost() const = 0;
  virtual int outer_rank(int r) const = 0;
  virtual const Activity& activity(int r) const = 0;
  virtual const Activity& outer_activity(int outer) const = 0;
  /// As things are now; late when nothing else is known.
  virtual Fate fate(int r) const = 0;
};

/// Nanoseconds of the clock that all processes of a machine share.
int64_t now_ns();

/// "rank 3"
std::string name_of(const View& view, int r);

/// Why the ranks whose bits are set in `absent` are not in `waited`, and who waits there. `late`:
/// the wait has reached its deadline; else they are gone.
std::string absence_text(const View& view, uint64_t absent, bool late, const Entry& waited);

/// Whom the outermost rank `outer` waits for in the end, over all groups: the one that is not seen
/// to wait itself; `outer` when they wait for each other in a ring.
int culprit(const View& view, int outer);

/// Rank r runs something else than the group's first rank.
std::string difference_text(const View& view, int r, const Record& its, const Record& first);

/// A recv of this rank that is not what rank `from` sends.
std::string difference_text(const View& view, const Record& recv, int from, const Record& send);

/// An all_to_all_v in which a send is not what the other side receives.
std::string counts_text(const View& view, const Entry& what, int from, int to, int64_t sent,
                        int64_t received);

/// Rank `r` ended the group on purpose.
std::string abort_text(const View& view, int r, const std::string& reason);

}  // namespace tutti::comm
