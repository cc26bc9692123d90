#include <fcntl.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/image_layers.h"
#include "cli/output.h"
#include "cli/session_options.h"
#include "cli/text.h"
#include "format/error.h"
#include "mountd/fuse_mount.h"
#include "mountd/job_view.h"
#include "mountd/launch.h"
#include "mountd/layered_mount.h"
#include "mountd/mount_point.h"
#include "mountd/mount_table.h"
#include "mountd/node_client.h"
#include "mountd/view.h"

namespace firn {
namespace {

constexpr char kMountFooter[] =
    "Returns when the image can be used. firnd serves it in the background until it is unmounted.\n"
    "Root's mounts are for everybody, as are an ordinary user's where root's firnd serves the "
    "node;\n"
    "elsewhere those are made through fusermount3 and for that user alone, and not for layers:\n"
    "'firn run' and 'firn shell' show these.\n"
    "\n"
    "Examples:\n"
    "  firn mount science.firn /mnt/science\n"
    "  firn mount --foreign tools.sqfs /mnt/tools     a SquashFS file made by mksquashfs\n"
    "  firn unmount /mnt/science";

struct MountOptions {
  std::string image;
  std::string directory;
  SessionOptions session;
  bool json = false;
};

// Mounts are for everybody, so that the namespace of the host is the place for them, which takes
// root, or root's firnd.
std::optional<NodeClient> ConnectForMount(const MountOptions& options) {
  if (!options.session.MayUseNode() || InUserNamespace()) return std::nullopt;
  std::optional<NodeClient> node = NodeClient::Connect();
  return node && (MayMount() || node->is_system()) ? std::move(node) : std::nullopt;
}

// It and what it is a layer over, the lowest first.
std::vector<JobImage> OpenToMount(const std::string& path) {
  std::vector<JobImage> images;
  for (const std::string& layer : LayersOf(path)) {
    JobImage image;
    image.fd = OpenImageFile(layer);
    image.name = std::filesystem::absolute(layer).lexically_normal().string();
    images.push_back(std::move(image));
  }
  return images;
}

// The topmost of the images, shown over the others.
AttachRequest RequestFor(const std::vector<JobImage>& images, const std::string& directory,
                         const SessionOptions& session) {
  AttachRequest request{.image = images.back().fd.get(),
                        .path = images.back().name,
                        .foreign = session.foreign,
                        .prefetch = session.prefetch.value_or(true),
                        .lease = LeaseKind::kMount,
                        .name = directory};
  for (const JobImage& image : images) {
    if (&image != &images.back()) {
      request.below.push_back({.image = image.fd.get(), .path = image.name});
    }
  }
  return request;
}

// An ordinary user's. Absent where firnd cannot: a session of the user's own may.
std::optional<SessionAddress> MountByNode(NodeClient& node, const std::vector<JobImage>& images,
                                          const std::string& directory,
                                          const SessionOptions& session) {
  const FileDescriptor target =
      OpenFile(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW, ErrorKind::kMountPoint);
  try {
    AttachRequest request = RequestFor(images, directory, session);
    request.target = target.get();
    const AttachedView attached = node.Attach(request);
    return SessionAddress{.pid = attached.pid, .view = ViewKind::kOverlay, .control = {}};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kSystem) throw;
    std::cerr << "firn: note: not mounted for everybody: " << error.what() << '\n';
    return std::nullopt;
  }
}

SessionAddress MountThroughNode(NodeClient& node, const std::vector<JobImage>& images,
                                const std::string& directory, const SessionOptions& session) {
  const AttachedView attached = node.Attach(RequestFor(images, directory, session));
  MoveView(attached.view, OpenFile(directory, O_PATH | O_DIRECTORY, ErrorKind::kMountPoint),
           directory);
  const std::optional<MountEntry> entry = FindMount(ReadMountTable(), directory);
  if (!entry) {
    throw Error(ErrorKind::kMountPoint, "expected the image to be mounted, found it gone")
        .WithPath(directory);
  }
  node.TellPlaced(entry->id);
  return {.pid = attached.pid, .view = ViewKind::kOverlay, .control = {}};
}

// fusermount3 mounts FUSE file systems alone, and an overlay in a namespace of the user's own is
// seen there only.
Error MayNotMerge(const std::vector<JobImage>& images, const std::string& directory) {
  const std::string& name = images.back().name;
  std::string below;
  for (const JobImage& image : images) {
    if (&image != &images.back()) below += (below.empty() ? "" : ", ") + image.name;
  }
  std::string remedy = "For a command or a shell that sees it at its prefix:\n";
  remedy += "  firn run " + name + " -- COMMAND\n";
  remedy += "  firn shell " + name + "\n";
  remedy += "To have it at the directory, make one image of it and mount that:\n";
  remedy += "  firn flatten " + name + " -o WHOLE.firn\n";
  remedy += "  firn mount WHOLE.firn " + directory + "\n";
  remedy += "Or ask the site to run 'firnd --node' as root: then 'firn mount' shows layers too.";
  return Error(ErrorKind::kUnsupported,
               "is a layer over " + below +
                   ": showing them as one at a directory takes root, or root's firnd, which does "
                   "not serve this mount",
               remedy)
      .WithPath(name);
}

// Without the node's firnd.
SessionAddress MountAlone(const std::vector<JobImage>& images, const std::string& directory,
                          const SessionOptions& session) {
  const JobImage& top = images.back();
  if (images.size() == 1) {
    return LaunchSession(top.fd, top.name, directory, session.ToLaunchOptions());
  }
  if (!MayMount()) throw MayNotMerge(images, directory);
  if (session.ToLaunchOptions().view == ViewChoice::kDirect) {
    throw Error(ErrorKind::kUsage, "a layer and its base are shown through an overlay",
                "Leave out --view direct.")
        .WithPath(top.name);
  }
  return MountLayers(images, directory, session.ToLaunchOptions());
}

SessionAddress ShowImage(std::optional<NodeClient>& node, const std::vector<JobImage>& images,
                         const std::string& directory, const SessionOptions& session) {
  if (node && MayMount()) return MountThroughNode(*node, images, directory, session);
  if (node) {
    if (const auto shown = MountByNode(*node, images, directory, session)) return *shown;
  }
  return MountAlone(images, directory, session);
}

void Mount(const MountOptions& options) {
  const std::vector<JobImage> images = OpenToMount(options.image);
  const std::string& name = images.back().name;
  const std::string directory = CheckMountPoint(options.directory);
  std::optional<NodeClient> node = ConnectForMount(options);
  const SessionAddress session = ShowImage(node, images, directory, options.session);
  if (options.json) {
    const nlohmann::ordered_json json = {{"image", name},
                                         {"mount_point", directory},
                                         {"view", ToString(session.view)},
                                         {"pid", session.pid},
                                         {"control", session.control}};
    PrintJson(json);
  } else {
    std::cout << Printable(name) << " is mounted at " << Printable(directory) << " ("
              << ToString(session.view) << " view, firnd " << session.pid << ")\n";
  }
}

}  // namespace

void AddMountCommand(CLI::App& app, int&) {
  const auto options = std::make_shared<MountOptions>();
  CLI::App* mount = app.add_subcommand("mount", "Show an image at a directory");
  mount->footer(kMountFooter);
  mount->add_option("IMAGE", options->image, "Image file")->required();
  mount->add_option("DIR", options->directory, "Empty directory to show it at")->required();
  AddSessionOptions(*mount, options->session);
  AddNodeOption(*mount, options->session);
  mount->add_flag("--json", options->json, "Print what was mounted as JSON");
  mount->callback([options] { Mount(*options); });
}

}  // namespace firn
