// The fake libnvidia-ml.so: GPUs and what they do.
#include "nvml.h"

struct device devices[MOST_GPUS];
struct device instances[MOST_GPUS][INSTANCES];

static int gpu_count(void)
{
	int count = (int)state_word("gpus", -1, -1);
	if (count >= 0)
		return count < MOST_GPUS ? count : MOST_GPUS;
	for (count = 0; count < MOST_GPUS && gpu_opens(count); count++)
		;
	return count;
}

int nvml_mig(int gpu) { return (int)state_word("mig", gpu, 0); }

// for_me compares a line "hang NAME" with the function's name.
static int for_me(const char *word, const char *name, int *code)
{
	char text[128], named[128];
	*code = 0;
	if (!state_text(word, text, sizeof text) || sscanf(text, "%127s %d", named, code) < 1)
		return 0;
	return strcmp(named, name) == 0;
}

int nvml_enter(const char *name)
{
	int code;
	if (for_me("hang", name, &code))
		for (;;)
			pause();
	if (for_me("crash", name, &code))
		raise(SIGSEGV);
	if (for_me("fail", name, &code))
		return code;
	return OK;
}

int nvml_usable(const struct device *device)
{
	if (device == NULL)
		return INVALID;
	return state_word("lost", device->gpu, 0) ? LOST : OK;
}

API nvmlInit_v2(void)
{
	ENTER();
	for (int gpu = 0; gpu < MOST_GPUS; gpu++) {
		devices[gpu] = (struct device){ gpu, -1 };
		for (int i = 0; i < INSTANCES; i++)
			instances[gpu][i] = (struct device){ gpu, i };
	}
	return node_opens("/dev/nvidiactl") ? OK : NOT_LOADED;
}

API nvmlInit(void) { return nvmlInit_v2(); }
API nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
API nvmlShutdown(void) { ENTER(); return OK; }

__attribute__((visibility("default"))) const char *nvmlErrorString(int code)
{
	switch (code) {
	case OK: return "Success";
	case INVALID: return "Invalid Argument";
	case UNSUPPORTED: return "Not Supported";
	case DENIED: return "Insufficient Permissions";
	case NOT_FOUND: return "Not Found";
	case TOO_SMALL: return "Insufficient Size";
	case NOT_LOADED: return "Driver Not Loaded";
	case LOST: return "GPU is lost";
	}
	return "Unknown Error";
}

static int text_out(const char *text, char *out, unsigned size)
{
	if (strlen(text) >= size)
		return TOO_SMALL;
	strcpy(out, text);
	return OK;
}

API nvmlSystemGetDriverVersion(char *out, unsigned size) { ENTER(); return text_out(VERSION, out, size); }
API nvmlSystemGetNVMLVersion(char *out, unsigned size) { ENTER(); return text_out("13." VERSION, out, size); }
API nvmlSystemGetCudaDriverVersion(int *version) { ENTER(); *version = (int)state_word("cuda", -1, 13000); return OK; }
API nvmlSystemGetCudaDriverVersion_v2(int *version) { return nvmlSystemGetCudaDriverVersion(version); }
API nvmlDeviceGetCount_v2(unsigned *count) { ENTER(); *count = (unsigned)gpu_count(); return OK; }
API nvmlDeviceGetCount(unsigned *count) { return nvmlDeviceGetCount_v2(count); }

// reach is what the driver says when it is asked for a GPU's handle: this is where a lost one and a forbidden one show.
static int reach(int gpu, struct device *device, struct device **out)
{
	if (state_word("lost", gpu, 0))
		return LOST;
	if (!gpu_opens(gpu))
		return DENIED;
	*out = device;
	return OK;
}

API nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **out)
{
	ENTER();
	if ((int)index >= gpu_count())
		return INVALID;
	return reach((int)index, &devices[index], out);
}

API nvmlDeviceGetHandleByIndex(unsigned index, struct device **out) { return nvmlDeviceGetHandleByIndex_v2(index, out); }

static void uuid_of(const struct device *device, char out[64])
{
	if (device->number < 0)
		snprintf(out, 64, "GPU-fa4e0000-0000-4000-8000-%012d", device->gpu);
	else
		snprintf(out, 64, "MIG-fa4e0000-0000-4000-8000-%06d%06d", device->gpu, device->number);
}

API nvmlDeviceGetUUID(const struct device *device, char *out, unsigned size)
{
	char uuid[64];
	ENTER_DEVICE(device);
	uuid_of(device, uuid);
	return text_out(uuid, out, size);
}

API nvmlDeviceGetHandleByUUID(const char *uuid, struct device **out)
{
	char own[64];
	ENTER();
	for (int gpu = 0; gpu < gpu_count(); gpu++) {
		uuid_of(&devices[gpu], own);
		if (strcmp(own, uuid) == 0)
			return reach(gpu, &devices[gpu], out);
		for (int i = 0; i < INSTANCES && nvml_mig(gpu); i++) {
			uuid_of(&instances[gpu][i], own);
			if (strcmp(own, uuid) == 0)
				return reach(gpu, &instances[gpu][i], out);
		}
	}
	return NOT_FOUND;
}

struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };

API nvmlDeviceGetPciInfo_v3(const struct device *device, struct pci *pci)
{
	ENTER_DEVICE(device);
	memset(pci, 0, sizeof *pci);
	pci->bus = 0x3b + (unsigned)device->gpu;
	pci->id = 0x233010de;
	snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", pci->bus);
	snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
	return OK;
}

API nvmlDeviceGetPciInfo_v2(const struct device *device, struct pci *pci) { return nvmlDeviceGetPciInfo_v3(device, pci); }
API nvmlDeviceGetPciInfo(const struct device *device, struct pci *pci) { return nvmlDeviceGetPciInfo_v3(device, pci); }

API nvmlDeviceGetHandleByPciBusId_v2(const char *id, struct device **out)
{
	struct pci pci;
	ENTER();
	for (int gpu = 0; gpu < gpu_count(); gpu++)
		if (nvmlDeviceGetPciInfo_v3(&devices[gpu], &pci) == OK && strcasecmp(pci.bus_id, id) == 0)
			return reach(gpu, &devices[gpu], out);
	return NOT_FOUND;
}

API nvmlDeviceGetName(const struct device *device, char *out, unsigned size)
{
	char text[96] = "NVIDIA Fake H100 80GB";
	ENTER_DEVICE(device);
	state_text("name", text, sizeof text - 16);
	if (device->number >= 0)
		strcat(text, " MIG 1g.10gb");
	return text_out(text, out, size);
}

API nvmlDeviceGetIndex(const struct device *device, unsigned *index)
{
	ENTER_DEVICE(device);
	*index = (unsigned)(device->number < 0 ? device->gpu : device->number);
	return OK;
}

API nvmlDeviceGetMinorNumber(const struct device *device, unsigned *minor)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	*minor = (unsigned)device->gpu;
	return OK;
}

API nvmlDeviceGetBrand(const struct device *device, int *brand) { ENTER_DEVICE(device); *brand = 14; return OK; }
API nvmlDeviceGetArchitecture(const struct device *device, unsigned *arch) { ENTER_DEVICE(device); *arch = 9; return OK; }

API nvmlDeviceGetCudaComputeCapability(const struct device *device, int *major, int *minor)
{
	ENTER_DEVICE(device);
	*major = 9, *minor = 0;
	return OK;
}
