// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/join.h"

#include "comm/deadline.h"
#include "comm/gloo/gloo_transport.h"
#include "comm/tcp/meet.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

/// Notes under this number are those of nobody's group: which host each rank is on.
constexpr uint64_t kHostNotes = 0;

std::vector<std::string> exchange_hosts(Control& control, const std::string& host_id,
                                        double timeout_s, const std::string& name) {
  std::vector<std::string> hosts(static_cast<size_t>(control.size()));
  hosts[static_cast<size_t>(control.rank())] = host_id;
  for (int r = 0; r < control.size(); ++r)
    if (r != control.rank()) control.send_note(r, kHostNotes, host_id);
  const Deadline deadline(timeout_s);
  for (int r = 0; r < control.size(); ++r) {
    std::optional<std::string> note;
    while (r != control.rank() && !(note = control.take_note(r, kHostNotes))) {
      control.check();
      if (deadline.passed() || control.peer(r) != Control::Peer::here)
        control.fail(Errc::comm, join("group '", name, "': rank ", r,
                                      " died or left while the group was made"));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (note) hosts[static_cast<size_t>(r)] = std::move(*note);
  }
  return hosts;
}

}  // namespace

Communicator join_over_tcp(Store& store, const std::string& name, int rank, int size,
                           const std::string& host_id, const std::string& address,
                           const GroupOptions& options, bool hierarchical) {
  require_argument(size >= 1 && size <= kMostRanks, "group '", name, "' of ", size, " ranks: 1 to ",
                   kMostRanks, " are possible");
  require_argument(rank >= 0 && rank < size, "group '", name, "': rank ", rank, " of ", size);
  const TcpOptions& tcp = options.tcp;
  Links links = meet_over_tcp(
      store,
      {name, rank, Layout{size, tcp.piece_bytes, tcp.pair_piece_bytes, hierarchical ? 1u : 0u},
       options.join_deadline_s},
      address);
  Site site{links.secret, open_device(address), {}, tcp, hierarchical};
  const auto control = std::make_shared<Control>(rank, std::move(links.sockets));
  site.hosts = exchange_hosts(*control, host_id, options.join_deadline_s, name);
  std::vector<int> members;
  for (int r = 0; r < size; ++r) members.push_back(r);
  Communicator group(
      std::make_unique<GlooTransport>(control, site, name, members, name, options.join_deadline_s),
      name);
  group.set_deadline(options.deadline_s);
  return group;
}

}  // namespace tutti::comm
