// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/gloo_transport.h"

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
      lanes_(with_deadline(group_, deadline_s), site),
      hosts_(lanes_.hosts()) {}

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
  Record& record = group_.begin(c, number, label_hash);
  Work w{c,
         record,
         static_cast<const std::byte*>(in),
         static_cast<std::byte*>(out),
         size_of(c.dtype),
         {group_, lanes_, record}};
  agree(w);
  const bool hosts = goes_by_hosts(w);
  if (is_short(w)) {
    finish_short(w);
  } else if (c.kind == Kind::all_reduce && hosts) {
    all_reduce_by_hosts(w.courier, hosts_, c, w.in, w.out, kept_);
  } else if (c.kind == Kind::reduce_scatter && hosts) {
    reduce_scatter_by_hosts(w.courier, hosts_, c, w.in, w.out, kept_);
  } else if (c.kind == Kind::all_gather && hosts) {
    all_gather_by_hosts(w.courier, hosts_, c, w.in, w.out);
  } else if (c.kind == Kind::all_reduce || c.kind == Kind::reduce) {
    all_reduce(w);
  } else if (c.kind == Kind::reduce_scatter) {
    reduce_scatter(w);
  } else {
    move_blocks(w);
  }
  group_.end(w.record);
}

bool GlooTransport::goes_by_hosts(const Work& w) const {
  if (hosts_.count() == 1 || hosts_.most == 1) return false;
  if (w.c.kind != Kind::all_reduce && w.c.kind != Kind::reduce_scatter &&
      w.c.kind != Kind::all_gather)
    return false;
  return static_cast<size_t>(w.c.count) * w.element >= lanes_.site().options.by_hosts_bytes;
}

}  // namespace tutti::comm
