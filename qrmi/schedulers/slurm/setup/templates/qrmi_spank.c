/* @MARK@: the option --qpu for sbatch, salloc and srun, and nothing else.
 *
 * Build, once for each version of Slurm:
 *     gcc -shared -fPIC -O2 -Wall -o qrmi_spank.so qrmi_spank.c
 * chmod 755 it, and add to plugstack.conf:
 *     optional /usr/lib/slurm/qrmi_spank.so
 *
 * The value travels with the job to job_submit.lua, which makes licenses of it. This plug-in asks
 * nobody for anything, reads no file and does nothing on compute nodes.
 */

#include <stdlib.h>
#include <string.h>

#include <slurm/spank.h>

SPANK_PLUGIN(qrmi, 1);

static char *asked;

static int take_qpu(int val, const char *value, int remote)
{
	(void) val;
	if (remote)
		return ESPANK_SUCCESS;
	if (value == NULL || *value == '\0' || strlen(value) > 1000) {
		slurm_error("--qpu takes NAME[:SLOTS][,NAME...] or auto");
		return ESPANK_BAD_ARG;
	}
	free(asked);
	asked = strdup(value);	/* sbatch uses its buffer again */
	return asked ? ESPANK_SUCCESS : ESPANK_ERROR;
}

static struct spank_option qpu_option = {
	"qpu",
	"NAME[:SLOTS]",
	"QPUs that the job needs: NAME[:SLOTS][,NAME...], or auto for any that is free",
	1,
	0,
	take_qpu
};

int slurm_spank_init(spank_t sp, int ac, char **av)
{
	(void) ac;
	(void) av;
	return spank_option_register(sp, &qpu_option);
}

int slurm_spank_init_post_opt(spank_t sp, int ac, char **av)
{
	(void) ac;
	(void) av;
	if (asked == NULL || spank_remote(sp) != 0)
		return ESPANK_SUCCESS;
	return spank_job_control_setenv(sp, "QRMI_QPU", asked, 1);
}
