// The assembly that an application refers to, of the same version.

namespace Part;

public static class Label
{
    public static string Version => typeof(Label).Assembly.GetName().Version!.ToString(1);
}
