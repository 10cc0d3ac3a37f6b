// What DOTNET_STARTUP_HOOKS may name. The runtime wants this name, in no namespace.

internal static class StartupHook
{
    internal static bool HasRun { get; private set; }

    public static void Initialize() => HasRun = true;
}
