// How clients of a node's firnd get images.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "mountd/fuse_mount.h"
#include "mountd/known_status.h"
#include "mountd/log.h"
#include "mountd/node_daemon.h"
#include "mountd/subprocess.h"
#include "mountd/view.h"

namespace firn {
namespace {

using nlohmann::json;

// The image is read through this very descriptor, and never opened again.
ShownImage TakeShownImage(FileDescriptor file, const std::string& path) {
  ShownImage image;
  image.file = std::move(file);
  image.path = path;
  const int flags = fcntl(image.file.get(), F_GETFL);
  if (flags < 0 || (flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY) {
    throw Error(ErrorKind::kUsage, "expected a descriptor that is open for reading, found another")
        .WithPath(image.path);
  }
  const std::optional<struct stat> status = KnownStatus(image.file.get());
  if (!status || !S_ISREG(status->st_mode)) {
    throw Error(ErrorKind::kInput, "expected a regular file as image, found another kind of file",
                "Give the file that 'firn build' wrote.")
        .WithPath(image.path);
  }
  image.status = *status;
  return image;
}

// The file's owner. In a user namespace every owner but one looks the same; there the client says
// who it is, which is the user whose firnd this is.
uid_t OwnerOf(const ShownImage& image, const ShownImageRequest& request) {
  const uid_t owner = image.status.st_uid;
  return InUserNamespace() ? request.owner.value_or(owner) : owner;
}

// Where every byte is proved by what was signed, those who own the files need not be trusted.
TrustDomain DomainOf(const ShownImage& image, const ShownImageRequest& request,
                     const NodeOptions& options, const std::optional<TrustedSigner>& signer) {
  if (signer && options.verify == ExtentCheck::kProof) {
    return TrustDomain::OfKey(FormatKey(signer->key));
  }
  return TrustDomain::OfOwner(OwnerOf(image, request));
}

}  // namespace

// A request for a view: the images that are still to be attached, and what was done.
struct NodeDaemon::Attaching {
  struct Image {
    ShownImage shown;
    TrustDomain domain{};
  };
  ClientPointer client;
  std::vector<Image> images;  // the lowest first
  std::vector<StackLayer> attached{};
  LeaseKind kind = LeaseKind::kProcess;
  std::string lease_name{};
  bool with_view = true;
};

std::optional<TrustedSigner> NodeDaemon::RequireTrusted(const Client& client,
                                                        const ShownImage& image,
                                                        const ShownImageRequest& request) {
  const ShownSignatures& signatures = request.signatures;
  const std::optional<TrustedSigner> signer = FindSigner(options_.trust, signatures);
  try {
    RequireTrust(options_.trust,
                 {.path = image.path,
                  .owner = OwnerOf(image, request),
                  .mode = image.status.st_mode,
                  .user = client.peer.uid},
                 signatures, signer);
  } catch (const Error& error) {
    if (const auto left_out = refusals_.Admit(Clock::now())) {
      LogWarning("refused to uid {}: {} ({} such lines were left out)", client.peer.uid,
                 error.what(), *left_out);
    }
    throw;
  }
  return signer;
}

void NodeDaemon::Attach(const ClientPointer& client, WorkerChannel::Message& message) {
  const ViewRequest request = ViewRequestFrom(message.body);
  const auto attaching = std::make_shared<Attaching>();
  attaching->client = client;
  attaching->kind = request.lease;
  attaching->lease_name = request.lease_name;
  attaching->with_view = request.view;
  const bool place = request.place;
  if (place) CheckMayPlace(*client, attaching->kind);
  const auto add = [&](FileDescriptor file, const ShownImageRequest& shown) {
    ShownImage image = TakeShownImage(std::move(file), shown.path);
    image.foreign = request.foreign;
    image.prefetch = request.prefetch && options_.prefetch;
    if (place) CheckMayShow(*client, image);
    const std::optional<TrustedSigner> signer = RequireTrusted(*client, image, shown);
    TrustDomain domain = DomainOf(image, shown, options_, signer);
    if (signer && (domain.is_of_key() || options_.trust.policy == ImagePolicy::kSigned)) {
      image.signed_id = FormatImageId(signer->image_id);
    }
    attaching->images.push_back({std::move(image), std::move(domain)});
  };
  const std::vector<ShownImageRequest>& below = request.below;
  const size_t before_below = place ? 2 : 1;
  if (message.fds.size() < before_below + below.size()) {
    throw Error(ErrorKind::kUsage, "expected descriptors of the image" +
                                       std::string(place ? ", the mount point" : "") +
                                       " and each image below (" +
                                       std::to_string(before_below + below.size()) + "), found " +
                                       std::to_string(message.fds.size()));
  }
  const size_t first_below = message.fds.size() - below.size();
  for (size_t i = 0; i < below.size(); ++i) add(std::move(message.fds[first_below + i]), below[i]);
  add(std::move(message.fds[0]), request.image);
  client->target.Close();
  client->unplaced.clear();
  if (place) client->target = std::move(message.fds[1]);
  AttachNext(attaching);
}

// One after the other: each is leased as soon as it is there.
void NodeDaemon::AttachNext(const std::shared_ptr<Attaching>& attaching) {
  const ClientPointer& client = attaching->client;
  const size_t index = attaching->attached.size();
  Attaching::Image& image = attaching->images[index];
  CheckImageLimits(client->peer.uid, image.shown.status, image.domain);
  Pool& pool = PoolOf(image.domain);
  client->is_waiting = true;
  client->awaited = image.shown.status;
  client->awaited_domain = image.domain;
  pool.Attach(std::move(image.shown), ShareNumber{++last_share_},
              [this, attaching](const Share* share, std::exception_ptr error) {
                if (error) {
                  FinishWithError(attaching->client, error);
                } else {
                  TakeAttached(attaching, *share);
                }
              });
}

void NodeDaemon::TakeAttached(const std::shared_ptr<Attaching>& attaching, const Share& share) {
  const ClientPointer& client = attaching->client;
  try {
    LeaseShare(*attaching, share.number);
    attaching->attached.push_back(
        {.domain = attaching->images[attaching->attached.size()].domain, .number = share.number});
    if (attaching->attached.size() < attaching->images.size()) {
      AttachNext(attaching);
    } else {
      GiveView(attaching, share);
    }
  } catch (const Error&) {
    FinishWithError(client, std::current_exception());
  }
}

void NodeDaemon::LeaseShare(const Attaching& attaching, ShareNumber share) {
  const ClientPointer& client = attaching.client;
  unused_since_.erase(share);
  last_holders_[share] = client->peer.uid;
  Lease lease;
  lease.kind = attaching.kind;
  lease.share = share;
  lease.holder = client->peer.uid;
  lease.pid = client->peer.pid;
  lease.name = attaching.lease_name;
  if (lease.kind == LeaseKind::kProcess) {
    lease.process = FileDescriptor(fcntl(client->process.get(), F_DUPFD_CLOEXEC, 0));
    lease.started = IdentityOf(lease.pid).started;
    if (!lease.process.valid() || IsReadable(lease.process.get(), std::chrono::milliseconds(0))) {
      throw Error(ErrorKind::kSystem, "the process that asked for the image has ended");
    }
  }
  if (lease.kind == LeaseKind::kMount) {
    client->unplaced.push_back(std::move(lease));
  } else {
    leases_.Add(std::move(lease));
  }
}

void NodeDaemon::GiveView(const std::shared_ptr<Attaching>& attaching, const Share& share) {
  const ClientPointer& client = attaching->client;
  const bool with_view = attaching->with_view;
  json answer = {{"ok", true},
                 {"slot", ToInt(share.slot)},
                 {"id", share.facts.id},
                 {"name", share.facts.name},
                 {"prefix", share.facts.prefix},
                 {"foreign", share.facts.foreign},
                 {"below", attaching->attached.size() - 1},
                 {"pid", getpid()},
                 {"user_namespace", with_view && InUserNamespace()}};
  if (!with_view) {
    ++counts_.attached;
    Finish(client, answer);
    return;
  }
  const auto give = [this, client, answer](FileDescriptor view, std::exception_ptr error) {
    if (error) {
      FinishWithError(client, error);
      return;
    }
    if (client->target.valid()) {
      Place(client, std::move(view), answer);
      return;
    }
    std::vector<FileDescriptor> fds;
    fds.push_back(std::move(view));
    if (InUserNamespace()) {
      fds.push_back(OpenFile("/proc/self/ns/user", O_RDONLY, ErrorKind::kSystem));
    }
    ++counts_.attached;
    Finish(client, answer, std::move(fds));
  };
  if (attaching->attached.size() > 1) {
    stacks_.CloneView(attaching->attached, give);
  } else {
    pools_.at(attaching->attached.front().domain)->CloneView(share.slot, give);
  }
}

}  // namespace firn
