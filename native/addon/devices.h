#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"

namespace weightnorm::addon {

struct ListedDevice {
  core::DeviceInfo info;
  bool available;
};

// Every device this build knows; an unusable one carries its reason. Any thread.
std::vector<ListedDevice> listDevices();

// "cpu" or "metal"; throws ERR_DEVICE_UNAVAILABLE with the reason.
std::shared_ptr<core::Device> openDevice(const std::string& type);

}  // namespace weightnorm::addon
