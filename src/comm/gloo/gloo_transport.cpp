// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/gloo_transport.h"

#include <cstring>

#include "comm/reduce.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

/// The group with its deadline, which holds for its making already.
TcpGroup& with_deadline(TcpGroup& group, double seconds) {
  group.set_deadline(seconds);
  return group;
}

}  // namespace

GlooTransport::GlooTransport(std::shared_ptr<Control> control, const Site& site,
                             const std::string& name, std::vector<int> members,
                             const std::string& outermost, double deadline_s)
    : group_(std::move(control), name, std::move(members), outermost),
      lanes_(with_deadline(group_, deadline_s), site) {}

GlooTransport::~GlooTransport() {
  lanes_.drain(group_);
  // Nobody asks what has come, from here on.
  group_.leave();
}

std::unique_ptr<Transport> GlooTransport::split(const std::string& name,
                                                const std::vector<int>& members) {
  std::vector<int> outer;
  for (int r : members) outer.push_back(group_.outer_rank(r));
  return std::make_unique<GlooTransport>(group_.shared_control(), lanes_.site(), name,
                                         std::move(outer), group_.outermost_name(),
                                         group_.deadline_s());
}

void GlooTransport::abort_group(const std::string& reason) noexcept {
  group_.control().propose(Errc::comm, abort_text(group_, rank(), reason));
}

std::vector<std::vector<Entry>> GlooTransport::history() const {
  group_.refresh();
  std::vector<std::vector<Entry>> all;
  for (int r = 0; r < size(); ++r) all.push_back(entries_of(group_.activity(r)));
  return all;
}

void GlooTransport::run(const Collective& c, uint64_t number, uint64_t label_hash, const void* in,
                        void* out) {
  group_.check();
  Work w{c, group_.begin(c, number, label_hash), static_cast<const std::byte*>(in),
         static_cast<std::byte*>(out), size_of(c.dtype)};
  agree(w);
  if (is_short(w)) {
    finish_short(w);
  } else if (goes_by_hosts(w)) {
    by_hosts(w);
  } else if (c.kind == Kind::all_reduce || c.kind == Kind::reduce) {
    all_reduce(w);
  } else if (c.kind == Kind::reduce_scatter) {
    reduce_scatter(w);
  } else {
    move_blocks(w);
  }
  group_.end(w.record);
}

std::byte* GlooTransport::room(const Work& w, int r, size_t bytes) {
  group_.wait(w.record, [&] { return lane(r).has_room() ? 0 : TcpGroup::bit(r); });
  return lane(r).place(bytes);
}

void GlooTransport::send(const Work& w, int r, Block block) {
  copy_bytes(room(w, r, block.bytes), block.data, block.bytes);
  lane(r).send(block.bytes);
}

/// Waits until each of these ranks has sent a message.
void GlooTransport::await(const Work& w, uint64_t ranks) {
  group_.wait(w.record, [&] {
    for (uint64_t left = ranks; left != 0; left &= left - 1) {
      const int r = std::countr_zero(left);
      if (lane(r).has_message()) ranks &= ~TcpGroup::bit(r);
    }
    return ranks;
  });
}

GlooTransport::Block GlooTransport::front(int r) {
  const auto message = lane(r).front();
  return {message.data(), message.size()};
}

}  // namespace tutti::comm
