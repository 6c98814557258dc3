// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "comm/job/environment.h"
#include "comm/job/secret_file.h"
#include "comm/store/tcp_store.h"

namespace tutti::comm {

/// The store through which the ranks of a job meet, and how this rank reached it.
struct JobStore {
  std::unique_ptr<TcpStoreServer> server;  ///< in rank 0, unless somebody else keeps the store
  std::unique_ptr<AnnouncementFile> announcement;
  std::shared_ptr<Store> store;
  std::string own_address, store_address;  ///< numbers: the two ends of this rank's way to it
};

/// Within one host rank 0 keeps the store at a free port that it announces in a file; between hosts
/// at MASTER_ADDR and MASTER_PORT, one further when the launcher uses that itself, or TUTTI_PORT;
/// TUTTI_STORE says that somebody else keeps it. Throws invalid_argument naming the variable that
/// is missing, and what TcpStoreServer, connect_store and the files of secrets throw.
JobStore open_job_store(const JobEnvironment& job, const std::string& name,
                        const Deadline& deadline);

}  // namespace tutti::comm
