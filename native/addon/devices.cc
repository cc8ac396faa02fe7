#include "addon/devices.h"

#include "cpu/cpu_device.h"
#include "metal/metal.h"

namespace weightnorm::addon {

std::vector<ListedDevice> listDevices() {
  std::vector<ListedDevice> devices;
  std::string reason;
  if (const auto metal = metal::metalDevice(&reason)) {
    devices.push_back({metal->info(), true});
  } else {
    core::DeviceInfo info;
    info.type = "metal";
    info.name = "Metal";
    info.reason = reason;
    devices.push_back({info, false});
  }
  devices.push_back({cpu::cpuDevice()->info(), true});
  return devices;
}

std::shared_ptr<core::Device> openDevice(const std::string& type) {
  if (type == "cpu") return cpu::cpuDevice();
  std::string reason;
  if (auto metal = metal::metalDevice(&reason)) return metal;
  throw core::Error(core::Code::kDeviceUnavailable, "there is no usable Metal device: " + reason + "; use Device.get('cpu')");
}

}  // namespace weightnorm::addon
