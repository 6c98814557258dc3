// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/join.h"

#include "comm/deadline.h"
#include "comm/gloo/gloo_transport.h"
#include "comm/tcp/meet.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

/// Notes under this number are those of nobody's group: what each rank was called with.
constexpr uint64_t kFirstNotes = 0;

std::string text_of(const TcpOptions& o, bool hierarchical) {
  return join("pieces of ", o.piece_bytes, " and ", o.pair_piece_bytes, " bytes, short data up to ",
              o.short_bytes, hierarchical ? join(", by hosts from ", o.by_hosts_bytes) : ", flat");
}

/// Tells all others the host of this rank and how it wants to go; returns all hosts.
std::vector<std::string> exchange_hosts(Control& control, const std::string& host_id,
                                        const std::string& way, double timeout_s,
                                        const std::string& name) {
  std::vector<std::string> hosts(static_cast<size_t>(control.size()));
  hosts[static_cast<size_t>(control.rank())] = host_id;
  for (int r = 0; r < control.size(); ++r)
    if (r != control.rank()) control.send_note(r, kFirstNotes, way + "\n" + host_id);
  const Deadline deadline(timeout_s);
  for (int r = 0; r < control.size(); ++r) {
    if (r == control.rank()) continue;
    std::optional<std::string> note;
    while (!(note = control.take_note(r, kFirstNotes))) {
      control.check();
      if (deadline.passed() || control.peer(r) != Control::Peer::here)
        control.fail(Errc::comm, gone_text({name}, r));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const std::string its = note->substr(0, note->find('\n'));
    if (its != way)
      control.fail(Errc::invalid_argument, join("group '", name, "': rank ", r, " wants ", its,
                                                "; rank ", control.rank(), " wants ", way));
    hosts[static_cast<size_t>(r)] = note->substr(its.size() + 1);
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
  // Refused before ranks wait for each other.
  if (!has_gloo()) open_device(address);
  const TcpOptions& tcp = options.tcp;
  Links links = meet_over_tcp(store, {name, rank, Layout{size}, options.join_deadline_s}, address);
  Site site{links.secret, open_device(address), {}, tcp, hierarchical};
  const auto control = std::make_shared<Control>(rank, std::move(links.sockets));
  site.hosts =
      exchange_hosts(*control, host_id, text_of(tcp, hierarchical), options.join_deadline_s, name);
  std::vector<int> members;
  for (int r = 0; r < size; ++r) members.push_back(r);
  Communicator group(
      std::make_unique<GlooTransport>(control, site, name, members, name, options.join_deadline_s),
      name);
  group.set_deadline(options.deadline_s);
  return group;
}

}  // namespace tutti::comm
