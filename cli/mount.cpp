#include <fcntl.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/output.h"
#include "cli/session_options.h"
#include "cli/text.h"
#include "format/error.h"
#include "mountd/fuse_mount.h"
#include "mountd/launch.h"
#include "mountd/mount_point.h"
#include "mountd/mount_table.h"
#include "mountd/node_client.h"
#include "mountd/view.h"

namespace firn {
namespace {

constexpr char kMountFooter[] =
    "Returns when the image can be used. firnd serves it in the background until it is unmounted.\n"
    "Root's mounts are for everybody; an ordinary user's, made through fusermount3, for that user\n"
    "alone.\n"
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

// Root's mounts are for everybody, so that its own namespace is the place for them; an ordinary
// user's takes fusermount3, which makes a FUSE mount and nothing else.
std::optional<NodeClient> ConnectForMount(const MountOptions& options) {
  if (!options.session.MayUseNode() || !MayMount() || InUserNamespace()) return std::nullopt;
  return NodeClient::Connect();
}

SessionAddress MountThroughNode(NodeClient& node, const FileDescriptor& image,
                                const std::string& name, const std::string& directory,
                                const SessionOptions& session) {
  const AttachedView attached = node.Attach({.image = image.get(),
                                             .path = name,
                                             .foreign = session.foreign,
                                             .prefetch = session.prefetch.value_or(true),
                                             .lease = LeaseKind::kMount,
                                             .name = directory});
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

void Mount(const MountOptions& options) {
  const FileDescriptor image = OpenImageFile(options.image);
  const std::string name = std::filesystem::absolute(options.image).lexically_normal().string();
  const std::string directory = CheckMountPoint(options.directory);
  std::optional<NodeClient> node = ConnectForMount(options);
  const SessionAddress session =
      node ? MountThroughNode(*node, image, name, directory, options.session)
           : LaunchSession(image, name, directory, options.session.ToLaunchOptions());
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
