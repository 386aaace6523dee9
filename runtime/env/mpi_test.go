package env

import "testing"

// --cleanenv leaves a rank its process manager, and nothing of the host's that only sounds alike.
func TestPassesClean(t *testing.T) {
	for name, want := range map[string]bool{
		"PMI_RANK": true, "PMI_FD": true, "PMIX_NAMESPACE": true, "OMPI_COMM_WORLD_RANK": true, "OMPI_MCA_btl": true,
		"HYDI_CONTROL_FD": true, "MPI_LOCALRANKID": true, "MPIR_CVAR_CH3_INTERFACE_HOSTNAME": true, "TERM": true,
		"MPI_HOME": false, "OMPI": false, "LD_PRELOAD": false, "SLURM_JOB_ID": false, "XPMI_RANK": false,
	} {
		if got := passesClean(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
